// The oracle of the differential tests: it answers what Ollama's own packages make of a text.
//
// One request a line on stdin, one answer a line on stdout, both JSON. A request is {"kind", "data"} with
// data in base64; the kinds are "modelfile", "template", "name", "host", "answer", "prompt", "thought", and
// "printable" (no data).
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/envconfig"
	"github.com/ollama/ollama/model/parsers"
	"github.com/ollama/ollama/model/renderers"
	"github.com/ollama/ollama/parser"
	"github.com/ollama/ollama/template"
	"github.com/ollama/ollama/thinking"
	"github.com/ollama/ollama/types/model"
)

type request struct {
	Kind string `json:"kind"`
	Data []byte `json:"data"`
}

type command struct {
	Name string `json:"name"`
	Args string `json:"args"`
}

type modelfileAnswer struct {
	Error        string         `json:"error"`
	Commands     []command      `json:"commands"`
	RequestError string         `json:"request_error"`
	Parameters   map[string]any `json:"parameters"`
	Messages     []api.Message  `json:"messages"`
}

type nameAnswer struct {
	Valid  bool     `json:"valid"`
	Scheme string   `json:"scheme"`
	Parts  []string `json:"parts"`
	Short  string   `json:"short"`
}

// chat is what a built-in parser or renderer is asked about.
type chat struct {
	Name     string          `json:"name"`
	Messages []api.Message   `json:"messages"`
	Tools    []api.Tool      `json:"tools"`
	Think    *api.ThinkValue `json:"think"`
	Chunks   []string        `json:"chunks"` // of the model's answer
}

type answerRead struct {
	Known         bool           `json:"known"`
	ReadsTools    bool           `json:"reads_tools"`
	ReadsThinking bool           `json:"reads_thinking"`
	Content       string         `json:"content"`
	Thinking      string         `json:"thinking"`
	Calls         []api.ToolCall `json:"calls"`
	Error         string         `json:"error"`
}

type promptMade struct {
	Prompt string `json:"prompt"`
	Error  string `json:"error"`
}

func main() {
	answers := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr // Ollama's parser prints its warnings there
	requests := json.NewDecoder(bufio.NewReader(os.Stdin))
	for requests.More() {
		var r request
		if err := requests.Decode(&r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := answers.Encode(answer(r)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func answer(r request) any {
	switch r.Kind {
	case "modelfile":
		return readModelfile(r.Data)
	case "name":
		n := model.ParseName(string(r.Data))
		return nameAnswer{
			Valid:  n.IsValid(),
			Scheme: n.ProtocolScheme,
			Parts:  []string{n.Host, n.Namespace, n.Model, n.Tag},
			Short:  n.DisplayShortest(),
		}
	case "template":
		if _, err := template.Parse(string(r.Data)); err != nil {
			return err.Error()
		}
		return ""
	case "host":
		os.Setenv("OLLAMA_HOST", string(r.Data))
		return envconfig.ConnectableHost().String()
	case "answer":
		return readAnswer(r.Data)
	case "prompt":
		return makePrompt(r.Data)
	case "thought":
		return splitThought(string(r.Data))
	default:
		return printableRanges()
	}
}

// readModelfile parses, and formats the parameters as `ollama create` would send them. What names files is
// left out of the second step, which would look for them.
func readModelfile(data []byte) (a modelfileAnswer) {
	file, err := parser.ParseFile(bytes.NewReader(data))
	if err != nil {
		a.Error = err.Error()
		return a
	}
	var rest parser.Modelfile
	for _, c := range file.Commands {
		a.Commands = append(a.Commands, command{c.Name, c.Args})
		if !slices.Contains([]string{"model", "adapter", "draft"}, c.Name) {
			rest.Commands = append(rest.Commands, c)
		}
	}
	created, err := rest.CreateRequest("")
	if err == nil {
		_, err = json.Marshal(created) // infinities end here
	}
	if err != nil {
		a.RequestError = err.Error()
		return a
	}
	a.Parameters, a.Messages = created.Parameters, created.Messages
	return a
}

// readAnswer reads what a model said, chunk by chunk as the server gets it, with an empty last one.
func readAnswer(data []byte) (a answerRead) {
	var c chat
	if err := json.Unmarshal(data, &c); err != nil {
		a.Error = err.Error()
		return a
	}
	p := parsers.ParserForName(c.Name)
	if p == nil {
		return a
	}
	a.Known, a.ReadsTools, a.ReadsThinking = true, p.HasToolSupport(), p.HasThinkingSupport()
	var last *api.Message
	if n := len(c.Messages); n > 0 {
		last = &c.Messages[n-1]
	}
	p.Init(c.Tools, last, c.Think)
	for i, chunk := range append(c.Chunks, "") {
		content, thinking, calls, err := p.Add(chunk, i == len(c.Chunks))
		if err != nil {
			a.Error = err.Error()
			return a
		}
		a.Content, a.Thinking, a.Calls = a.Content+content, a.Thinking+thinking, append(a.Calls, calls...)
	}
	return a
}

func makePrompt(data []byte) (m promptMade) {
	var c chat
	err := json.Unmarshal(data, &c)
	if err == nil {
		m.Prompt, err = renderers.RenderWithRenderer(c.Name, c.Messages, c.Tools, c.Think)
	}
	if err != nil {
		m.Error = err.Error()
	}
	return m
}

// splitThought takes a whole answer apart by the tags that the server looks for in answers given earlier.
func splitThought(text string) (apart [2]string) {
	p := thinking.Parser{OpeningTag: "<think>", ClosingTag: "</think>"}
	apart[0], apart[1] = p.AddContent(text)
	return apart
}

// printableRanges gives the first and the last of each run of printable characters.
func printableRanges() (ranges [][2]int) {
	for r := range rune(utf8.MaxRune + 1) {
		if !strconv.IsPrint(r) {
			continue
		}
		if n := len(ranges); n > 0 && ranges[n-1][1] == int(r)-1 {
			ranges[n-1][1] = int(r)
		} else {
			ranges = append(ranges, [2]int{int(r), int(r)})
		}
	}
	return ranges
}
