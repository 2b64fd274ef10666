package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"

	"github.com/anishathalye/porcupine"
)

// never is the return time of a call that was never answered.
const never = math.MaxInt64

// call is one line of a history. An object is a session with its runs, named by the client before
// it exists: by the Idempotency-Key of its creation.
type call struct {
	Process int    `json:"process"`
	Object  string `json:"object"`
	Op      string `json:"op"`  // create, message, cancel, read_session, read_run
	Key     string `json:"key"` // Idempotency-Key of create and message
	Run     string `json:"run"` // of read_run
	Call    int64  `json:"call"`
	Return  int64  `json:"return"`
	// ok: answered with what was asked for. refused: answered that the session takes no message.
	// missing: a read found nothing. unknown: whether it had an effect is not known. none: it had
	// no effect. stale: a read whose answer says of itself that it may be old.
	Outcome string `json:"outcome"`
	Answer  answer `json:"answer"`
}

// answer has the members that matter of what was answered with outcome ok.
type answer struct {
	Session  string    `json:"session"`
	Run      string    `json:"run"`
	Replayed bool      `json:"replayed"`
	Status   string    `json:"status"`
	Attempt  int       `json:"attempt"`
	Steps    int       `json:"steps"`
	Runs     []runSeen `json:"runs"`
}

type runSeen struct {
	Run    string `json:"run"`
	Status string `json:"status"`
}

// outcomesOf says which outcomes an operation can have, and so which operations there are.
var outcomesOf = map[string]string{
	"create":       "ok unknown none",
	"message":      "ok refused unknown none",
	"cancel":       "ok unknown none",
	"read_session": "ok missing stale none",
	"read_run":     "ok missing stale none",
}

func readHistory(path string) ([]call, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var calls []call
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 || lines.Bytes()[0] == '#' {
			continue
		}
		var one call
		err := json.Unmarshal(lines.Bytes(), &one)
		if err == nil {
			err = one.sound()
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %v", path, number, err)
		}
		calls = append(calls, one)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %v", path, err)
	}
	if len(calls) == 0 {
		return nil, fmt.Errorf("%s holds no calls", path)
	}
	return calls, nil
}

func (c call) sound() error {
	outcomes, known := outcomesOf[c.Op]
	switch {
	case !known:
		return fmt.Errorf("there is no operation %q", c.Op)
	case !hasWord(outcomes, c.Outcome):
		return fmt.Errorf("%s has no outcome %q", c.Op, c.Outcome)
	case c.Object == "":
		return fmt.Errorf("the object is missing")
	case (c.Op == "create" || c.Op == "message") && c.Key == "":
		return fmt.Errorf("%s needs a key", c.Op)
	case c.Outcome == "unknown" && c.Return != 0:
		return fmt.Errorf("an unknown outcome has no time of return")
	case c.Outcome != "unknown" && c.Return < c.Call:
		return fmt.Errorf("it returns before it is called")
	}
	return nil
}

// byObject leaves out what says nothing.
func byObject(calls []call) map[string][]call {
	objects := map[string][]call{}
	for _, c := range calls {
		if c.Outcome != "none" && c.Outcome != "stale" {
			objects[c.Object] = append(objects[c.Object], c)
		}
	}
	return objects
}

// sharedNames complains of sessions and runs that belong to several objects: each object is judged
// alone, so nobody else would see it.
func sharedNames(objects map[string][]call) []string {
	var complaints []string
	owner := map[string]string{}
	for _, object := range sortedNames(objects) {
		for _, c := range objects[object] {
			for _, id := range []string{c.Answer.Session, c.Answer.Run} {
				if first, taken := owner[id]; taken && first != object {
					complaints = append(complaints,
						fmt.Sprintf("%s belongs to %s and to %s", id, first, object))
				}
				if id != "" {
					owner[id] = object
				}
			}
		}
	}
	return complaints
}

// operationsOf makes of all attempts of one call whose outcome is unknown a single operation. A call
// takes effect once, however often it is repeated, so between the first of these attempts and the
// first certain answer it has had its effect or it never will; without such an answer it may have it
// any time later.
func operationsOf(calls []call) []porcupine.Operation {
	var history []porcupine.Operation
	doubtful := map[string]call{}
	for _, c := range calls {
		if c.Outcome != "unknown" {
			history = append(history, c.operation())
		} else if first, seen := doubtful[c.identity()]; !seen || c.Call < first.Call {
			doubtful[c.identity()] = c
		}
	}
	for _, c := range doubtful {
		c.Return = never
		for _, other := range calls {
			if other.identity() == c.identity() && other.Outcome != "unknown" {
				if other.Return >= c.Call && other.Return < c.Return {
					c.Return = other.Return
				}
				if other.Outcome == "ok" {
					c.Answer.Run, c.Answer.Session = other.Answer.Run, other.Answer.Session
				}
			}
		}
		history = append(history, c.operation())
	}
	sort.SliceStable(history, func(i, k int) bool { return history[i].Call < history[k].Call })
	return history
}

// identity is the same for attempts of the same call. Every second cancellation changes nothing.
func (c call) identity() string {
	return c.Op + " " + c.Key
}

func (c call) operation() porcupine.Operation {
	return porcupine.Operation{ClientId: c.Process, Input: c, Call: c.Call, Output: c.Answer, Return: c.Return}
}

func hasWord(words, word string) bool {
	start := 0
	for i := 0; i <= len(words); i++ {
		if i == len(words) || words[i] == ' ' {
			if words[start:i] == word {
				return true
			}
			start = i + 1
		}
	}
	return false
}
