package main

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// session is the state of one object as far as answers have told it. What moves by itself (a run that
// begins, a step, an end) is not a call: a read may find it further than the read before, never
// further back. Values are never changed, each step makes a new one.
type session struct {
	exists bool
	id     string // Empty: created by a call whose answer nobody got.
	ending int    // As of statusOf.
	turns  []turn
}

// turn is one run of a session.
type turn struct {
	key, run string // An empty run: accepted by a call whose answer nobody got.
	status   string
	attempt  int
	steps    int
}

var endingOf = map[string]int{"active": 0, "cancelling": 1, "terminated": 2}

var rankOf = map[string]int{"": 0, "pending": 0, "running": 1, "succeeded": 2, "failed": 2, "cancelled": 2}

const terminal = 2

var model = porcupine.Model{
	Init: func() interface{} { return session{} },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		before, c := state.(session), input.(call)
		after, ok := steps[c.Op](before, c)
		return ok, after
	},
	Equal:             func(a, b interface{}) bool { return a.(session).text() == b.(session).text() },
	Hash:              func(state interface{}) uint64 { return hashOf(state.(session).text()) },
	DescribeOperation: func(input, output interface{}) string { return input.(call).text() },
	DescribeState:     func(state interface{}) string { return state.(session).text() },
}

// steps says for each operation whether the one server could have answered so, and what it knows then.
var steps = map[string]func(session, call) (session, bool){
	"create":       create,
	"message":      message,
	"cancel":       cancel,
	"read_session": readSession,
	"read_run":     readRun,
}

func create(s session, c call) (session, bool) {
	if !s.exists {
		first := turn{key: c.Key, run: c.Answer.Run}
		return session{exists: true, id: c.Answer.Session, turns: []turn{first}}, !c.Answer.Replayed
	}
	if c.Outcome == "unknown" {
		return s, true
	}
	sameSession := s.id == "" || s.id == c.Answer.Session
	s.id = c.Answer.Session
	s, sameRun := s.replay(0, c)
	return s, sameSession && sameRun
}

func message(s session, c call) (session, bool) {
	known := s.turnOf(c.Key)
	switch {
	case c.Outcome == "unknown":
		if s.exists && s.ending == 0 && known < 0 {
			s = s.with(turn{key: c.Key, run: c.Answer.Run})
		}
		return s, true
	case c.Outcome == "refused":
		return s, s.exists && s.ending > 0 && known < 0
	case known >= 0:
		return s.replay(known, c)
	}
	accepts := s.exists && s.ending == 0 && !c.Answer.Replayed && s.indexOf(c.Answer.Run) < 0
	return s.with(turn{key: c.Key, run: c.Answer.Run}), accepts
}

func cancel(s session, c call) (session, bool) {
	if c.Outcome == "unknown" {
		if s.exists && s.ending == 0 {
			s.ending = 1
		}
		return s, true
	}
	ending, known := endingOf[c.Answer.Status]
	ok := s.exists && known && ending > 0 && ending >= s.ending
	s.ending = ending
	return s, ok
}

func readSession(s session, c call) (session, bool) {
	if c.Outcome == "missing" {
		return s, !s.exists
	}
	ending, known := endingOf[c.Answer.Status]
	if !s.exists || !known || ending < s.ending || len(c.Answer.Runs) != len(s.turns) {
		return s, false
	}
	if ending > 0 && s.ending == 0 {
		return s, false // Nobody has cancelled it.
	}
	s.ending = ending
	for i, seen := range c.Answer.Runs {
		if s.turns[i].run == "" {
			s = s.withTurn(i, turn{key: s.turns[i].key, run: seen.Run})
		}
		moved, ok := s.turns[i].moved(seen.Status, s.turns[i].attempt, s.turns[i].steps, s.ending)
		if s.turns[i].run != seen.Run || !ok || (ending == 2 && rankOf[seen.Status] != terminal) {
			return s, false
		}
		s = s.withTurn(i, moved)
	}
	return s, true
}

func readRun(s session, c call) (session, bool) {
	at := s.indexOf(c.Run)
	if c.Outcome == "missing" || at < 0 {
		return s, c.Outcome == "missing" && at < 0
	}
	moved, ok := s.turns[at].moved(c.Answer.Status, c.Answer.Attempt, c.Answer.Steps, s.ending)
	return s.withTurn(at, moved), ok
}

// moved is the turn as it was seen now, and whether it could have come there: runs never go back, an
// end stays as it is, and only a cancelled session has cancelled runs.
func (t turn) moved(status string, attempt, steps, ending int) (turn, bool) {
	rank, known := rankOf[status]
	ok := known && rank >= rankOf[t.status] && attempt >= t.attempt && steps >= t.steps
	if rankOf[t.status] == terminal {
		ok = ok && status == t.status
	}
	if status == "cancelled" {
		ok = ok && ending > 0
	}
	return turn{key: t.key, run: t.run, status: status, attempt: attempt, steps: steps}, ok
}

// replay answers a call whose effect is there: the same run again, and it says that it is.
func (s session) replay(at int, c call) (session, bool) {
	t := s.turns[at]
	if t.run == "" {
		t.run = c.Answer.Run
		s = s.withTurn(at, t)
	}
	return s, t.key == c.Key && t.run == c.Answer.Run && c.Answer.Replayed
}

func (s session) with(t turn) session {
	s.turns = append(append([]turn{}, s.turns...), t)
	return s
}

func (s session) withTurn(at int, t turn) session {
	s.turns = append([]turn{}, s.turns...)
	s.turns[at] = t
	return s
}

func (s session) turnOf(key string) int {
	for i, t := range s.turns {
		if t.key == key {
			return i
		}
	}
	return -1
}

func (s session) indexOf(run string) int {
	for i, t := range s.turns {
		if t.run == run {
			return i
		}
	}
	return -1
}

func (s session) text() string {
	if !s.exists {
		return "nothing"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "session %s %s", s.id, []string{"active", "cancelling", "terminated"}[s.ending])
	for _, t := range s.turns {
		fmt.Fprintf(&out, "; %s is %s %s, attempt %d, %d steps", t.key, t.run, t.status, t.attempt, t.steps)
	}
	return out.String()
}

func (c call) text() string {
	words := []string{c.Op}
	for _, word := range []string{c.Key, c.Run, "->", c.Outcome} {
		if word != "" {
			words = append(words, word)
		}
	}
	if c.Outcome == "ok" {
		words = append(words, c.answered())
	}
	return strings.Join(words, " ")
}

func (c call) answered() string {
	a := c.Answer
	switch c.Op {
	case "create", "message":
		return strings.TrimSpace(fmt.Sprintf("%s %s, again: %v", a.Session, a.Run, a.Replayed))
	case "read_run":
		return fmt.Sprintf("%s, attempt %d, %d steps", a.Status, a.Attempt, a.Steps)
	}
	for _, seen := range a.Runs {
		a.Status += ", " + seen.Run + " " + seen.Status
	}
	return a.Status
}

func hashOf(text string) uint64 {
	sum := fnv.New64a()
	sum.Write([]byte(text))
	return sum.Sum64()
}
