// Convert chat templates to Go templates with @huggingface/ollama-utils.
//
// Run: node convert.mjs FOLDER, with the package in FOLDER/node_modules. Reads {"chat_template", "bos_token",
// "eos_token"} from standard input, one per line, and writes a line for each: {"template", "stop", "model",
// "seconds"}, "template" being null where nothing was found, or {"error", "seconds"}.

import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(join(resolve(process.argv[2]), "package.json"));
const { convertGGUFTemplateToOllama } = require("@huggingface/ollama-utils");

function convert(gguf) {
  try {
    const found = convertGGUFTemplateToOllama(gguf);
    return {
      template: found?.ollama.template ?? null,
      stop: found?.ollama.params?.stop ?? [],
      model: found?.model ?? "",
    };
  } catch (error) {
    return { error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const gguf = JSON.parse(line);
  const start = performance.now();
  const answer = convert(gguf);
  answer.seconds = (performance.now() - start) / 1000;
  console.log(JSON.stringify(answer));
}
