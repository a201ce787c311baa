package main

import (
	"reflect"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/template"
	"github.com/ollama/ollama/thinking"
	"github.com/ollama/ollama/tools"
)

func init() {
	readTags = func(a *answer, t *template.Template, offered api.Tools) {
		a.Thinking[0], a.Thinking[1] = thinking.InferTags(t.Template)
		// older versions have the tag, but no method that gives it
		a.ToolTag = reflect.ValueOf(tools.NewParser(t.Template, offered)).Elem().FieldByName("tag").String()
	}
}
