#!/bin/bash
# Tidies a list: the lines of the prompt sorted, each once with how often it stood there, in tidy.txt.
# The input is a prompt, or an initial state {"text": "..."}.
set -u -o pipefail
source "${BASH_SOURCE[0]%/*}/runledger.bash"

# One line an execution: shows which steps ran, and how often, whatever was killed when.
note() { printf '%s %s\n' "$step_key" "$step_attempt" >> effects.log; }

# Every file appears whole or not at all: it is written beside its place and moved there.
tidy() {
  note
  grep -v '^[[:space:]]*$' list.txt | LC_ALL=C sort | uniq -c | sort -k1,1nr -s > tidy.part
  mv -T tidy.part tidy.txt && wc -l < tidy.txt
}

digest() {
  note
  sha256sum < tidy.txt | cut -d ' ' -f 1
}

longest() {
  note
  wc -L < list.txt
}

runledger_ready
runledger_save list.txt prompt || runledger_save list.txt initial_state/text \
  || runledger_error "there is no list: neither a prompt nor a text in the initial state" no_input
lines=$(grep -vc '^[[:space:]]*$' list.txt)

step tidy tidy
distinct=$output
checkpoint state-1 "{\"distinct\":$distinct}"
step longest longest
longest=$output
step digest digest
artifact artifact-1 tidy.txt text/plain
usage usage-1 "$lines" "$distinct" 0.000010
message message-1 "$lines lines, $distinct of them distinct. The most frequent: $(head -n 1 tidy.txt | sed 's/^ *[0-9]* //')"
runledger_result "{\"lines\":$lines,\"distinct\":$distinct,\"longest\":$longest,\"sha256\":$(json "$output")}"
