# Runledger agents in bash: harness protocol, version 1. bash and coreutils only. Source this file.
#
#   source "${0%/*}/runledger.bash"
#   runledger_ready                      # says hello and waits for the run
#   runledger_save input.txt prompt      # the input, whole, in a file
#   step count wc -l input.txt           # $output is what the command printed, now or in an earlier attempt
#   runledger_result "{\"lines\":$(json "$output")}"
#
# The script starts again from its beginning in every attempt, so what has an effect belongs in a
# step. An id makes a frame count once: give the same id to the same frame in every attempt.

# The pipes of the protocol; commands of the script get an empty stdin, and stderr as stdout. 5 never says anything.
exec {runledger_in}<&0 {runledger_out}>&1 {runledger_idle}<> <(:) 0</dev/null 1>&2
declare -A frame=()   # the latest frame, by JSON Pointer; strings as they are written, with escapes
declare output= attempt=1 run=

# json TEXT: the text as a JSON string.
json() {
  local text=$1 code character
  text=${text//\\/"\\\\"}
  text=${text//\"/'\"'}
  if [[ $text == *[[:cntrl:]]* ]]; then
    for code in {1..31}; do
      printf -v character "\\x$(printf %x "$code")"
      text=${text//"$character"/"$(printf '\\u%04x' "$code")"}
    done
  fi
  printf '"%s"' "$text"
}

# member POINTER: prints a member of the frame, a string without its escapes.
member() {
  local text=${frame[$1]-} pair high low
  text=${text//'\\'/$'\x01'}   # no control character stands in JSON as it is
  text=${text//'\/'/\/}
  text=${text//'\"'/'"'}
  while [[ $text =~ \\u([dD][89abAB]..)\\u([dD][c-fC-F]..) ]]; do
    pair=${BASH_REMATCH[0]} high=${BASH_REMATCH[1]} low=${BASH_REMATCH[2]}
    printf -v high '\\U%08x' $((0x10000 + ((0x$high & 0x3ff) << 10) + (0x$low & 0x3ff)))
    text=${text//"$pair"/"$high"}
  done
  printf '%b' "${text//$'\x01'/'\\'}"
}

# Fills `frame` from a line. Splits at the quotes, so that its cost grows with the line and no faster.
runledger_parse() {
  local LC_ALL=C IFS='"' text outside word= character
  local -a parts prefix=('') kind=('') name=('')
  local -i i c depth=0 wants_name=0
  set -f
  parts=($1)
  set +f
  frame=()
  for ((i = 0; i < ${#parts[@]}; i++)); do
    outside=${parts[i]}
    for ((c = 0; c < ${#outside}; c++)); do
      character=${outside:c:1}
      case $character in
        ' ' | $'\t' | :) ;;
        '{' | '[')
          ((depth)) && prefix[depth + 1]=${prefix[depth]}/${name[depth]} || prefix[1]=
          depth+=1
          kind[depth]=$character name[depth]=0
          [[ $character == '{' ]] && wants_name=1 || wants_name=0 ;;
        ',' | '}' | ']')
          [[ -z $word ]] || frame[${prefix[depth]}/${name[depth]}]=$word
          word=
          if [[ $character != , ]]; then
            depth+=-1
          elif [[ ${kind[depth]} == '{' ]]; then
            wants_name=1
          else
            name[depth]=$((name[depth] + 1))
          fi ;;
        *) word+=$character ;;
      esac
    done
    ((++i < ${#parts[@]})) || break
    text=${parts[i]}
    while [[ ${parts[i]} == *\\ ]]; do
      word=${parts[i]##*[!\\]}
      ((${#word} % 2)) || break
      text+='"'${parts[++i]} # the quote was escaped: it belongs to the string
    done
    word=
    if ((wants_name)); then
      name[depth]=$text wants_name=0
    else
      frame[${prefix[depth]}/${name[depth]}]=$text
    fi
  done
}

# The next frame from the server. The script ends with its input.
runledger_read() {
  local line
  IFS= read -r -u "$runledger_in" line || exit 0
  runledger_parse "$line"
}

runledger_send() { printf '%s\n' "$1" >&"$runledger_out"; }

runledger_ready() {
  runledger_send '{"type":"ready","protocol":1,"max_runs":1}'
  local -A start=()
  until [[ ${frame[/type]-} == run.start ]]; do runledger_read; done
  run=${frame[/run]} attempt=${frame[/attempt]}
  local key more=${frame[/history_more]-false}
  for key in "${!frame[@]}"; do start[$key]=${frame[$key]}; done
  while [[ $more == true ]]; do # this helper has no use for the history: done steps are answered
    runledger_read
    [[ ${frame[/type]} == history ]] && more=${frame[/more]}
  done
  frame=()
  for key in "${!start[@]}"; do frame[$key]=${start[$key]}; done
}

# runledger_save FILE NAME: writes the string `NAME` of the run's input, as `prompt`, to a file. Call
# it before the first step. Fails when there is no such string.
runledger_save() {
  local pointer=/input/$2
  if [[ -v frame[/blobs/$pointer/path] ]]; then
    cp -- "$(member "/blobs/$pointer/path")" "$1"
  else
    [[ -v frame[$pointer] ]] && member "$pointer" > "$1"
  fi
}

# step KEY COMMAND...: runs the command as the step, with its output as $output, or takes $output from
# the history. The run ends with an error where the step is given up, or the run cancelled.
step() {
  local key=$1 beat status
  shift
  runledger_send "{\"type\":\"step.start\",\"key\":$(json "$key")}"
  while runledger_read; do
    case ${frame[/type]}:$(member /key) in
      "step.cached:$key")
        if [[ -v frame[/blobs//output/path] ]]; then
          output=$(< "$(member /blobs//output/path)")
        else
          output=$(member /output)
        fi
        return ;;
      "step.go:$key")
        while :; do read -rt 15 -u "$runledger_idle" || runledger_send '{}'; done & beat=$!
        step_key=$run/$key step_attempt=${frame[/attempt]}
        output=$("$@")
        status=$?
        kill "$beat"
        wait "$beat" 2> /dev/null
        if ((status == 0)); then
          runledger_send "{\"type\":\"step.done\",\"key\":$(json "$key"),\"output\":$(json "$output")}"
          return
        fi
        runledger_send "{\"type\":\"step.fail\",\"key\":$(json "$key"),\"error\":{\"message\":$(
          json "${1##*/} ended with $status"),\"code\":\"exit_$status\"}}" ;;
      "step.give_up:$key")
        runledger_error "step $key: $(member /error/message)" step_given_up ;;
      cancel:*) runledger_error cancelled cancelled ;;
    esac
  done
}

# message ID TEXT, artifact ID PATH MEDIA_TYPE, usage ID TOKENS_IN TOKENS_OUT COST_USD, checkpoint ID JSON
message() {
  runledger_send "{\"type\":\"message\",\"id\":$(json "$1"),\"role\":\"assistant\",\"content\":$(json "$2")}"
}
artifact() {
  runledger_send "{\"type\":\"artifact\",\"id\":$(json "$1"),\"path\":$(json "$2"),\"media_type\":$(json "$3")}"
}
usage() {
  runledger_send "{\"type\":\"usage\",\"id\":$(json "$1"),\"tokens_in\":$2,\"tokens_out\":$3,\"cost_usd\":\"$4\"}"
}
checkpoint() { runledger_send "{\"type\":\"checkpoint\",\"id\":$(json "$1"),\"state\":$2}"; }

# runledger_result JSON, runledger_error MESSAGE CODE: the end of the run, and of the script.
runledger_result() {
  runledger_send "{\"type\":\"result\",\"output\":$1}"
  exit 0
}
runledger_error() {
  runledger_send "{\"type\":\"error\",\"message\":$(json "$1"),\"code\":$(json "$2")}"
  exit 0
}
