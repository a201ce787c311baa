// gorender renders a chat with a Go TEMPLATE as Ollama does.
//
// One request a line on stdin, one answer a line on stdout, both JSON. A request has "template", and of the body
// of /api/chat "messages", "tools" and "think". An answer has the prompt, or an error and the phase it belongs to
// ("parse", "body" or "run"), and what Ollama reads from the template: its variables, and, where that version of
// Ollama has packages for it (reading.go), the tags of thinking, and the tag that opens tool calls.
//
// What the versions of Ollama have each in its own way is reached by reflection, so that one source fits all.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/template"
)

type request struct {
	Template string          `json:"template"`
	Messages json.RawMessage `json:"messages"`
	Tools    json.RawMessage `json:"tools"`
	Think    json.RawMessage `json:"think"`
}

type answer struct {
	Prompt   string    `json:"prompt"`
	Error    string    `json:"error"`
	Phase    string    `json:"phase"`
	Vars     []string  `json:"vars"`
	Thinking [2]string `json:"thinking"`
	ToolTag  string    `json:"tool_tag"`
}

// readTags fills in what Ollama reads from a template; reading.go sets it.
var readTags = func(*answer, *template.Template, api.Tools) {}

func main() {
	requests := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := bufio.NewWriter(os.Stdout)
	answers := json.NewEncoder(out)
	for {
		var r request
		if err := requests.Decode(&r); err != nil {
			if err.Error() == "EOF" {
				return
			}
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		a, err := render(r)
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		out.Flush()
	}
}

func render(r request) (a answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	a.Phase = "parse"
	t, err := template.Parse(r.Template)
	if err != nil {
		return a, err
	}
	if a.Vars, err = variables(t); err != nil {
		return a, err
	}
	a.Phase = "body"
	b, err := read(r)
	if err != nil {
		return a, err
	}
	a.Phase = "run"
	readTags(&a, t, b.Tools)
	values := template.Values{Messages: b.Messages, Tools: b.Tools}
	ask(&values, b)
	var prompt bytes.Buffer
	if err = t.Execute(&prompt, values); err != nil {
		return a, err
	}
	a.Phase = ""
	a.Prompt = prompt.String()
	return a, nil
}

// variables gives what a template names; since 0.14 that may fail.
func variables(t *template.Template) (names []string, err error) {
	given := reflect.ValueOf(t).MethodByName("Vars").Call(nil)
	names, _ = given[0].Interface().([]string)
	if len(given) > 1 {
		err, _ = given[1].Interface().(error)
	}
	return names, err
}

// read gives the body as /api/chat reads it.
func read(r request) (b api.ChatRequest, err error) {
	body := map[string]json.RawMessage{}
	for key, text := range map[string]json.RawMessage{"messages": r.Messages, "tools": r.Tools, "think": r.Think} {
		if len(text) != 0 {
			body[key] = text
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return b, err
	}
	return b, json.Unmarshal(text, &b)
}

// ask hands on whether to think: 0.9 has a truth value for that, and since 0.11.4 it may be a level.
func ask(values *template.Values, b api.ChatRequest) {
	think := reflect.ValueOf(b).FieldByName("Think")
	if !think.IsValid() || think.IsNil() {
		return
	}
	seen := reflect.ValueOf(values).Elem()
	seen.FieldByName("IsThinkSet").SetBool(true)
	if think.Elem().Kind() == reflect.Bool {
		seen.FieldByName("Think").SetBool(think.Elem().Bool())
		return
	}
	seen.FieldByName("Think").SetBool(think.MethodByName("Bool").Call(nil)[0].Bool())
	seen.FieldByName("ThinkLevel").SetString(think.MethodByName("String").Call(nil)[0].String())
}
