#!/usr/bin/env bash
# Manual pages and completions, made by the programs themselves: `man` finds nothing to complain of, each shell
# completes with what it was given, and every option of --help stands in all of them.
#   test_pages.sh BIN_FOLDER        exits with 77 where a shell or man is absent; what is there is tested
set -euo pipefail
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$bin:$PATH

fail() {
  echo "test_pages: $*" >&2
  exit 1
}

absent=()
for program in man zsh fish; do command -v "$program" >/dev/null || absent+=("$program"); done
has() { [[ " ${absent[*]} " != *" $1 "* ]]; }

programs=("neuron-ls" "neuron-run" "neuron-bench" "neuron-profile" "neuron-top")
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
  has man || break
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

# zsh completes on a terminal alone: it is given one.
mkdir "$work/functions" "$work/zsh"
for program in neuronc "${programs[@]}"; do cp "$work/$program.zsh" "$work/functions/_${program//-/_}"; done
zsh_offers() {
  zsh -f "$(dirname "$0")/zsh_offers.zsh" "$work/functions" "$work/zsh" "$1" >"$work/offers" || fail "zsh does not complete '$1'"
  cat "$work/offers"
}
fish_offers() {
  fish -c "source $work/neuronc.fish; source $work/neuron-run.fish; source $work/neuron-bench.fish; complete -C '$1'" | cut -f1
}
# Each shell offers exactly these candidates, a word each, for the command line.
expect_offers() {
  local line=$1
  shift
  for shell in zsh fish; do
    has "$shell" || continue
    [ "$("${shell}_offers" "$line" | grep -v '^line: ' | sort)" = "$(printf '%s\n' "$@" | sort)" ] ||
      fail "$shell offers for '$line' not '$*' but '$("${shell}_offers" "$line" | tr '\n' ' ')'"
  done
}
expect_offers 'neuronc --num-' --num-neuroncores
expect_offers 'neuronc ver' verify
expect_offers 'neuronc verify --min-c' --min-cosine
expect_offers 'neuronc m.onnx --auto-cast ' all matmult none
expect_offers 'neuronc check m.onnx --format j' json junit
expect_offers 'neuron-run m.neff --channels ' bgr gray rgb
expect_offers 'neuron-bench --secon' --seconds
! has zsh || [ "$(zsh_offers 'neuronc --num-' | tail -1)" = 'line: neuronc --num-neuroncores ' ] || fail "zsh does not complete the line"

echo "${#pages[@]} manual pages, $num_options options in pages and completions"
[ ${#absent[@]} -eq 0 ] || { echo "skipped: ${absent[*]} is absent"; exit 77; }
