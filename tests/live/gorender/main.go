// gorender renders a chat with a Go TEMPLATE as Ollama does.
//
// One request a line on stdin, one answer a line on stdout, both JSON. A request has "template", and of the body
// of /api/chat "messages", "tools" and "think". An answer has the prompt, or an error, and what Ollama reads from
// the template: its variables, the tags of thinking, and the tag that opens tool calls.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/template"
	"github.com/ollama/ollama/thinking"
	"github.com/ollama/ollama/tools"
)

type request struct {
	Template string          `json:"template"`
	Messages []api.Message   `json:"messages"`
	Tools    api.Tools       `json:"tools"`
	Think    *api.ThinkValue `json:"think"`
}

type answer struct {
	Prompt   string    `json:"prompt"`
	Error    string    `json:"error"`
	Vars     []string  `json:"vars"`
	Thinking [2]string `json:"thinking"`
	ToolTag  string    `json:"tool_tag"`
}

func main() {
	requests := json.NewDecoder(bufio.NewReader(os.Stdin))
	answers := json.NewEncoder(os.Stdout)
	for requests.More() {
		var r request
		if err := requests.Decode(&r); err != nil {
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
	}
}

func render(r request) (a answer, err error) {
	t, err := template.Parse(r.Template)
	if err != nil {
		return a, err
	}
	if a.Vars, err = t.Vars(); err != nil {
		return a, err
	}
	a.Thinking[0], a.Thinking[1] = thinking.InferTags(t.Template)
	a.ToolTag = tools.NewParser(t.Template, r.Tools).Tag()
	values := template.Values{Messages: r.Messages, Tools: r.Tools, IsThinkSet: r.Think != nil}
	if r.Think != nil {
		values.Think = r.Think.Bool()
		values.ThinkLevel = r.Think.String()
	}
	var prompt bytes.Buffer
	err = t.Execute(&prompt, values)
	a.Prompt = prompt.String()
	return a, err
}
