#!/usr/bin/env bash
# Manual pages and completions, made by the programs themselves: `man` finds nothing to complain of, each shell
# loads its completions and completes with them, and every option of --help stands in all of them.
#   test_pages.sh BIN_FOLDER
set -euo pipefail
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$bin:$PATH

fail() {
  echo "test_pages: $*" >&2
  exit 1
}

programs=("neuron-ls" "neuron-run" "neuron-bench")
commands=(check compat compile diff inspect opt verify)
mkdir -p "$work/man/man1"
pages=()
make_page() {
  "$@" --generate man >"$work/man/man1/$page.1"
  pages+=("$page")
}
page=neuronc; make_page neuronc
for command in "${commands[@]}"; do page=neuronc-$command; make_page neuronc "$command"; done
for program in "${programs[@]}"; do page=$program; make_page "$program"; done

for page in "${pages[@]}"; do
  LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$work/man/man1/$page.1" \
    2>"$work/warnings" >/dev/null || fail "man cannot read $page"
  [ ! -s "$work/warnings" ] || { cat "$work/warnings"; fail "man warns of $page"; }
done

# Every long option of --help, in the manual page and in the completions.
options_of() {
  "$@" --help | grep -oE '(^| |,)--[A-Za-z][A-Za-z0-9-]*' | tr -d ' ,' | sort -u
}
for shell in bash zsh fish; do
  neuronc --generate "$shell" >"$work/neuronc.$shell"
  for program in "${programs[@]}"; do "$program" --generate "$shell" >"$work/$program.$shell"; done
done
num_options=0
check_options() {
  local page=$1 program=$2
  shift 2
  for option in $(options_of "$@"); do
    num_options=$((num_options + 1))
    # troff writes hyphens as \-
    grep -qF -- "${option//-/\\-}" "$work/man/man1/$page.1" || fail "$page(1) lacks $option"
    for shell in bash zsh; do
      grep -qF -- "$option" "$work/$program.$shell" || fail "the $shell completions of $program lack $option"
    done
    grep -qF -- " -l ${option#--}" "$work/$program.fish" || fail "the fish completions of $program lack $option"
  done
}
for command in "${commands[@]}"; do check_options "neuronc-$command" neuronc neuronc "$command"; done
for program in "${programs[@]}"; do check_options "$program" "$program" "$program"; done
[ "$num_options" -gt 150 ] || fail "only $num_options options were found"

# What bash offers for the words of a command line.
bash_offers() {
  bash --norc --noprofile -c '
    source "$1"; shift; source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    "_${1//-/_}"
    printf "%s\n" "${COMPREPLY[@]}"' offers "$work/neuronc.bash" "$work/neuron-run.bash" "$@"
}
bash_offers neuronc ver | grep -x verify >/dev/null || fail "bash does not offer verify"
bash_offers neuronc check --auto | grep -x -- --auto-cast >/dev/null || fail "bash does not offer --auto-cast"
bash_offers neuronc m.onnx --auto-cast m | grep -x matmult >/dev/null || fail "bash does not offer matmult"
bash_offers neuron-run m.neff --channels b | grep -x bgr >/dev/null || fail "bash does not offer bgr"

fish -c "source $work/neuronc.fish; complete -C 'neuronc ver'" | grep '^verify' >/dev/null || fail "fish does not offer verify"
fish -c "source $work/neuronc.fish; complete -C 'neuronc verify --min-c'" | grep -- '^--min-cosine' >/dev/null ||
  fail "fish does not offer --min-cosine"
fish -c "source $work/neuronc.fish; complete -C 'neuronc verify --auto-cast '" | grep '^matmult' >/dev/null ||
  fail "fish does not offer matmult"

# zsh's completion system needs a terminal to complete in; here it loads the functions and knows whose they are.
mkdir "$work/functions"
cp "$work/neuronc.zsh" "$work/functions/_neuronc"
cp "$work/neuron-run.zsh" "$work/functions/_neuron_run"
zsh -f -c "
  fpath=($work/functions \$fpath); autoload -Uz compinit; compinit -u -d $work/dump
  [[ \$_comps[neuronc] = _neuronc && \$_comps[neuron-run] = _neuron_run ]] || exit 1
  source $work/neuronc.zsh; source $work/neuron-run.zsh
  (( \$+functions[_neuronc_verify] && \$+functions[_neuron_run] ))" || fail "zsh does not load the completions"

echo "${#pages[@]} manual pages, $num_options options in pages and completions"
