// gorender renders a chat with a Go TEMPLATE as Ollama does.
//
// One request a line on stdin, one answer a line on stdout, both JSON. A request has "template", and of the body
// of /api/chat "messages", "tools" and "think". An answer has the prompt, or an error and the phase it belongs to
// ("parse", "body" or "run"), and what Ollama reads from the template: its variables, the tags of thinking, and the
// tag that opens tool calls.
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
	"github.com/ollama/ollama/thinking"
	"github.com/ollama/ollama/tools"
)

type request struct {
	Template string          `json:"template"`
	Messages json.RawMessage `json:"messages"`
	Tools    json.RawMessage `json:"tools"`
	Think    json.RawMessage `json:"think"`
}

type body struct {
	Messages []api.Message
	Tools    api.Tools
	Think    *api.ThinkValue
}

type answer struct {
	Prompt   string    `json:"prompt"`
	Error    string    `json:"error"`
	Phase    string    `json:"phase"`
	Vars     []string  `json:"vars"`
	Thinking [2]string `json:"thinking"`
	ToolTag  string    `json:"tool_tag"`
}

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
	if a.Vars, err = t.Vars(); err != nil {
		return a, err
	}
	a.Phase = "body"
	b, err := read(r)
	if err != nil {
		return a, err
	}
	a.Phase = "run"
	a.Thinking[0], a.Thinking[1] = thinking.InferTags(t.Template)
	// older versions have the tag, but no method that gives it
	a.ToolTag = reflect.ValueOf(tools.NewParser(t.Template, b.Tools)).Elem().FieldByName("tag").String()
	values := template.Values{Messages: b.Messages, Tools: b.Tools, IsThinkSet: b.Think != nil}
	if b.Think != nil {
		values.Think = b.Think.Bool()
		values.ThinkLevel = b.Think.String()
	}
	var prompt bytes.Buffer
	if err = t.Execute(&prompt, values); err != nil {
		return a, err
	}
	a.Phase = ""
	a.Prompt = prompt.String()
	return a, nil
}

func read(r request) (b body, err error) {
	for _, one := range []struct {
		text json.RawMessage
		to   any
	}{{r.Messages, &b.Messages}, {r.Tools, &b.Tools}, {r.Think, &b.Think}} {
		if len(one.text) == 0 {
			continue
		}
		if err := json.Unmarshal(one.text, one.to); err != nil {
			return b, err
		}
	}
	return b, nil
}
