# Hugging Face folders of every family through the commands, and the files quantized from them: the
# same tokens, the same prompt, some text, an answer. ($models: tests/golden/models.)
$ echo '{"messages": [{"role": "user", "content": "the end"}]}' >chat.json
$ for family in llama llama3 mistral smollm3 qwen2 qwen3 gemma3 gemma2 phi3 mistral3; do
>     cp -r "$models/$family" . && cp "$models"/qwen2/tokenizer*.json $family
>     twobit quantize $family -o $family.gguf -m rtn --bits 3 --calib-tokens 64 -q >/dev/null 2>&1 || echo "quantize fails"
>     for model in $family $family.gguf; do
>         twobit tokenize $model "the end"; twobit template $model --messages chat.json; echo
>         twobit run $model -p "the end" -n 3 --temp 0 | grep -c "^the end"
>         echo the | twobit chat $model -n 3 -q | wc -l
>     done | paste -sd ' ' -
> done
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1
19 28 26 4 13 3 <|im_start|>user 1 1 19 28 26 4 13 3 <|im_start|>user 1 1

# Gemma 3 with its vision tower: the text model is inside, its names have a prefix, its settings a key of their own.
$ mkdir seeing && cp gemma3/tokenizer*.json seeing
$ sed -e 's/gemma3_text/gemma3/' -e '1s/.*/{ "model_type": "gemma3", "text_config": {/' -e '$s/}$/}}/' gemma3/config.json >seeing/config.json
$ python3 - gemma3/model.safetensors seeing/model.safetensors <<'END'
> import json, sys
> data = open(sys.argv[1], "rb").read()
> size = 8 + int.from_bytes(data[:8], "little")
> tensors = {"language_model." + name: tensor for name, tensor in json.loads(data[8:size]).items()}
> end = max(tensor["data_offsets"][1] for tensor in tensors.values())
> tensors["vision_tower.patch.weight"] = {"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]}
> header = json.dumps(tensors).encode()
> open(sys.argv[2], "wb").write(len(header).to_bytes(8, "little") + header + data[size:] + bytes(4))
> END
$ for model in gemma3 seeing; do twobit logits $model --ids 19,28,26,4,13,3 -o $model.npy; done; cmp gemma3.npy seeing.npy
! twobit: warning: the vision tower of 'seeing' is left out: the model reads text only

# A folder in several files.
$ mkdir shards && cp qwen3/*.json shards
$ python3 - qwen3/model.safetensors <<'END'
> import json, sys
> data = open(sys.argv[1], "rb").read()
> size = 8 + int.from_bytes(data[:8], "little")
> tensors, index = json.loads(data[8:size]), {}
> for part, names in enumerate([list(tensors)[0::2], list(tensors)[1::2]]):
>     file, header, body = f"model-{part}.safetensors", {}, b""
>     for name in names:
>         begin, end = tensors[name]["data_offsets"]
>         header[name] = tensors[name] | {"data_offsets": [len(body), len(body) + end - begin]}
>         body += data[size + begin:size + end]
>         index[name] = file
>     text = json.dumps(header).encode()
>     open(f"shards/{file}", "wb").write(len(text).to_bytes(8, "little") + text + body)
> json.dump({"weight_map": index}, open("shards/model.safetensors.index.json", "w"))
> END
$ for model in qwen3 shards; do twobit logits $model --ids 19,28,26,4,13,3 -o $model.npy; done; cmp qwen3.npy shards.npy

# Two templates, one of them for tools.
$ mkdir -p qwen3/additional_chat_templates; printf '{{ messages | length }}' >qwen3/chat_template.jinja
$ printf '{{ tools | length }} tools' >qwen3/additional_chat_templates/tool_use.jinja
$ echo '{"messages": [], "tools": [1, 2]}' >tools.json
$ twobit template qwen3 --messages chat.json; echo; twobit template qwen3 --messages tools.json
1
2 tools
$ twobit quantize qwen3 -o two.gguf -m rtn --bits 3 --calib-tokens 64 -q >/dev/null 2>&1; twobit template two.gguf --messages tools.json
2 tools

# Of a model without its weights, of whatever kind, and of a template alone, what texts become can be seen.
$ mkdir texts && cp qwen3/tokenizer* qwen3/chat_template.jinja texts && echo '{"model_type": "mamba"}' >texts/config.json
$ twobit tokenize texts "the end" --no-bos; twobit template texts --messages chat.json; echo
19 28 26 4 13 3
1
$ rm texts/config.json texts/tokenizer.json; printf '{{ bos_token }}' >texts/chat_template.jinja
$ echo '{"bos_token": "<a>", "bos_token": null, "model_max_length": Infinity}' >texts/tokenizer_config.json
$ echo '{"bos_token": {"content": "<b>"}, "x": NaN}' >texts/special_tokens_map.json; twobit template texts --messages chat.json
$ rm texts/tokenizer_config.json; twobit template texts --messages chat.json; echo
<b>
$ twobit tokenize texts x
! twobit: 'texts' holds no tokenizer
= 1
$ rm texts/chat_template.jinja; twobit template texts --messages chat.json
! twobit: folder 'texts' has neither a tokenizer nor a chat template
= 1

# vocab.json and merges.txt, read as the class that is named reads them.
$ echo '{"1": 0, "2": 1, "12": 2}' >texts/vocab.json; printf '#version: 0.2\n1 2\n' >texts/merges.txt
$ twobit tokenize texts 12
! twobit: 'texts': vocab.json and merges.txt come without the name of a tokenizer_class that is known
= 1
$ echo '{"tokenizer_class": "GPT2Tokenizer"}' >texts/tokenizer_config.json; twobit tokenize texts 12
2
$ echo '{"tokenizer_class": "Qwen2Tokenizer"}' >texts/tokenizer_config.json; twobit tokenize texts 12
0 1

# What is missing is said in a sentence.
$ mkdir bad && echo '{}' >bad/tokenizer_config.json; twobit run bad -p x
! twobit: folder 'bad' is not a model: it has no config.json
= 1
$ cp qwen3/config.json bad; twobit run bad -p x
! twobit: folder 'bad' has no 'model.safetensors'
= 1
$ : >bad/pytorch_model.bin; twobit run bad -p x
! twobit: folder 'bad' has 'pytorch_model.bin' but no 'model.safetensors', which twobit reads
= 1
$ rm bad/pytorch_model.bin; cp qwen3/model.safetensors bad; twobit run bad -p x
! twobit: 'bad' has no tokenizer
= 1
$ sed 's/"qwen3"/"mamba"/' qwen3/config.json >bad/config.json; twobit run bad -p x
! twobit: model type 'mamba' of 'bad' is not known (known: llama, mistral, mistral3, ministral3, qwen2, qwen3, gemma2, gemma3, phi3, smollm3, qwen2_moe, qwen3_moe, qwen3_next, afmoe, mimo_v2_flash, gpt_oss, twobit)
= 1
$ sed '1s/{/{"quantization_config": {"quant_method": "gptq"},/' qwen3/config.json >bad/config.json; twobit run bad -p x
! twobit: config.json of 'bad' has 'quantization_config' = gptq, which twobit lacks
= 1
$ twobit run qwen3/model.safetensors -p x
! twobit: 'qwen3/model.safetensors' is a part of a model; give the folder that it lies in
= 1
$ twobit tokenize qwen3/config.json x
! twobit: 'qwen3/config.json' is a part of a model; give the folder that it lies in
= 1
$ twobit run qwen3/tokenizer.json -p x
! twobit: 'qwen3/tokenizer.json' holds no weights
= 1
$ twobit tokenize qwen3/tokenizer.json "the end"
19 28 26 4 13 3

# A head that a config ties to the embedding and that is another matrix counts, and somebody is told.
$ cp -r "$models/llama" tied && sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' tied/config.json
$ twobit logits tied --ids 1,2 -o tied.npy
! twobit: warning: config.json of 'tied' ties the head to the embedding, but its 'lm_head.weight' is another matrix, which is used
$ twobit logits llama --ids 1,2 -o llama.npy; cmp llama.npy tied.npy
