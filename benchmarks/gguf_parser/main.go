// Estimates of gguf-parser for files and settings, one of each a line on standard input:
// CONTEXT UBATCH SEQUENCES GPU_LAYERS FLASH_ATTENTION CACHE_TYPE PATH, and its bytes as JSON on standard output.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	parser "github.com/gpustack/gguf-parser-go"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var context, ubatch, sequences, layers, flash int
		var cache, path string
		if _, err := fmt.Sscan(lines.Text(), &context, &ubatch, &sequences, &layers, &flash, &cache, &path); err != nil {
			fmt.Println(`{"error": "unreadable line"}`)
			continue
		}
		file, err := parser.ParseGGUFFile(path, parser.UseMMap())
		if err != nil {
			fmt.Println(`{"error": "unreadable file"}`)
			continue
		}
		kind := parser.GGMLTypeF16
		if cache == "q8_0" {
			kind = parser.GGMLTypeQ8_0
		}
		options := []parser.GGUFRunEstimateOption{
			parser.WithLLaMACppContextSize(int32(context)),
			parser.WithLLaMACppPhysicalBatchSize(int32(ubatch)),
			parser.WithParallelSize(int32(sequences)),
			parser.WithLLaMACppOffloadLayers(uint64(layers)),
			parser.WithLLaMACppCacheKeyType(kind),
			parser.WithLLaMACppCacheValueType(kind),
		}
		if flash != 0 {
			options = append(options, parser.WithFlashAttention())
		}
		estimate := file.EstimateLLaMACppRun(options...)
		kv, compute, output := uint64(0), uint64(0), uint64(0)
		for index, device := range estimate.Devices {
			if layers == 0 && index > 0 {
				break // it always reckons with a GPU, here there is none
			}
			kv += uint64(device.KVCache.Key + device.KVCache.Value)
			compute += uint64(device.Computation.Input + device.Computation.Compute)
			output += uint64(device.Computation.Output)
		}
		text, _ := json.Marshal(map[string]uint64{"kv": kv, "compute": compute, "output": output})
		fmt.Println(string(text))
	}
}
