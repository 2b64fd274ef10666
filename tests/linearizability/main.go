// Says whether a history of calls, written by clients of Runledger, could have come from one server
// that does one thing at a time. Porcupine searches for such an order; model.go says what that
// server would answer; history.go what a line of the history is.
//
//	linearizability [--seconds N] [--html FILE] HISTORY
//
// Exit 0: there is such an order for every object. 1: there is none; what cannot be placed is shown.
// 2: the history cannot be read, or the call was wrong. 3: not decided within the time.
package main

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	exitOk = iota
	exitViolated
	exitUnreadable
	exitUndecided
)

func main() {
	seconds := flag.Int("seconds", 60, "time for one object's history")
	html := flag.String("html", "", "draw the first history that is refused into this file")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "linearizability: one file with a history is needed")
		os.Exit(exitUnreadable)
	}
	os.Exit(check(flag.Arg(0), time.Duration(*seconds)*time.Second, *html))
}

func check(path string, patience time.Duration, html string) int {
	calls, err := readHistory(path)
	if err != nil {
		fmt.Fprintf(os.Stderr, "linearizability: %v\n", err)
		return exitUnreadable
	}
	objects := byObject(calls)
	if complaints := sharedNames(objects); len(complaints) > 0 {
		fmt.Println(strings.Join(complaints, "\n"))
		return exitViolated
	}
	result, judged := exitOk, 0
	for _, object := range sortedNames(objects) {
		history := operationsOf(objects[object])
		judged += len(history)
		verdict, info := porcupine.CheckOperationsVerbose(model, history, patience)
		switch verdict {
		case porcupine.Ok:
		case porcupine.Illegal:
			fmt.Print(refusal(object, history, info))
			if html != "" {
				if err := porcupine.VisualizePath(model, info, html); err != nil {
					fmt.Fprintf(os.Stderr, "linearizability: %v\n", err)
				}
				html = ""
			}
			result = exitViolated
		default:
			fmt.Printf("%s: not decided within %v: %d calls\n", object, patience, len(history))
			if result == exitOk {
				result = exitUndecided
			}
		}
	}
	if result == exitOk {
		fmt.Printf("linearizable: %d objects, %d calls\n", len(objects), judged)
	}
	return result
}

// refusal shows the longest order that was found, the state behind it, and what fits nowhere.
func refusal(object string, history []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	state, placed := model.Init(), map[string]bool{}
	var out strings.Builder
	fmt.Fprintf(&out, "%s is not linearizable: %d calls, an order was found for %d of them:\n",
		object, len(history), len(longest))
	for _, each := range longest {
		_, state = model.Step(state, each.Input, each.Output)
		placed[lineOf(each)] = true
		fmt.Fprintf(&out, "    %s\n", lineOf(each))
	}
	fmt.Fprintf(&out, "  then the state is: %s\n  and these fit nowhere:\n", model.DescribeState(state))
	sort.SliceStable(history, func(i, k int) bool { return history[i].Call < history[k].Call })
	for _, each := range history {
		if !placed[lineOf(each)] {
			fmt.Fprintf(&out, "    %s\n", lineOf(each))
		}
	}
	return out.String()
}

func lineOf(each porcupine.Operation) string {
	end := "never"
	if each.Return != never {
		end = fmt.Sprint(each.Return)
	}
	return fmt.Sprintf("[%d, %s] process %d: %s", each.Call, end, each.ClientId,
		model.DescribeOperation(each.Input, each.Output))
}

func sortedNames(objects map[string][]call) []string {
	var names []string
	for name := range objects {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
