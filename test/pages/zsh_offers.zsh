#!/usr/bin/env -S zsh -f
# What zsh offers for a command line whose last word is completed by Tab, as a person at a terminal would see it:
# the candidates, a line each, behind them `line: ` and what stands on the command line then.
#   zsh_offers.zsh FUNCTIONS WORK 'neuronc --num-'      FUNCTIONS: the folder of completion functions
zmodload zsh/zpty || exit 1
export ZWORK=$2 ZFUNCTIONS=$1
rm -f $ZWORK/{ready,offers,line}
cat >$ZWORK/setup.zsh <<'SETUP'
PS1= RPS1=
fpath=($ZFUNCTIONS $fpath)
autoload -Uz compinit
compinit -u -d $ZWORK/dump
# Every completion function ends here; those candidates that match what was typed are noted.
compadd() {
  local -a matching
  if (( ! ${@[(I)-[OAD]]} )); then
    builtin compadd -A matching "$@"
    print -rl -- $matching >>$ZWORK/offers
  fi
  builtin compadd "$@"
}
precmd() { : >$ZWORK/ready }
note-line() {
  print -r -- "line: $BUFFER" >$ZWORK/line.new
  mv $ZWORK/line.new $ZWORK/line
  BUFFER=
}
zle -N note-line
bindkey '^X' note-line
bindkey '^I' complete-word
SETUP

wait_for() {
  repeat 600; do
    [[ -e $1 ]] && return
    sleep 0.05
  done
  zpty -r -t shell output
  print -u2 -r -- "zsh gave no answer: $output"
  exit 1
}
zpty shell zsh -f -i
zpty -w shell "source $ZWORK/setup.zsh"
wait_for $ZWORK/ready
zpty -w -n shell "$3"$'\t\x18'
wait_for $ZWORK/line
[[ ! -e $ZWORK/offers ]] || sort -u $ZWORK/offers
cat $ZWORK/line
zpty -d shell
