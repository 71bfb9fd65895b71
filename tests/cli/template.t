$ make_tiny_model tiny.gguf --chat-template
$ cat >chat.json <<'END'
> {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüß \"dich\"\n"}]}
> END

# The bytes of the prompt and nothing else: no line end behind it.
$ twobit template tiny.gguf --messages chat.json >a; cat a
<s>system: Be brief.</s>
user: Grüß "dich"
</s>
assistant: 
$ tail -c 1 a | od -An -c | tr -d ' '
$ twobit template tiny.gguf --messages - <chat.json | cmp - a
$ twobit template tiny.gguf --messages chat.json --no-generation-prompt >b; printf 'assistant: ' | cat b - | cmp - a

# The vocabulary suffices; a bare list of messages will do.
$ make_tiny_model vocabulary.gguf --chat-template --without-weights; twobit template vocabulary.gguf --messages chat.json | cmp - a
$ sed 's/^.*\(\[.*\]\).*$/\1/' chat.json | twobit template tiny.gguf --messages - | cmp - a

# Ids: control tokens are those of the template; what a message says is text unless asked for. Id 2 is </s>.
$ twobit template tiny.gguf --messages chat.json | twobit tokenize tiny.gguf --text - --special --no-bos >ids
$ twobit template tiny.gguf --messages chat.json --ids | cmp - ids
$ twobit template vocabulary.gguf --messages chat.json --ids | cmp - ids
$ sed 's/brief/<\/s>/' chat.json >hostile.json; twobit template tiny.gguf --messages hostile.json --ids | tr ' ' '\n' | grep -cx 2
2
$ twobit template tiny.gguf --messages hostile.json --ids --special | tr ' ' '\n' | grep -cx 2
3
$ echo '{"messages": []}' | twobit template tiny.gguf --messages - --no-generation-prompt --ids --json
{
  "count": 1,
  "ids": [
    1
  ]
}
$ echo '{"messages": []}' | twobit template tiny.gguf --messages - --json
{
  "text": "<s>assistant: "
}
$ twobit template x.jinja --messages chat.json --ids 2>&1 | head -n 1
twobit: 'x.jinja' has no tokenizer: --ids needs a model
$ twobit template tiny.gguf --messages chat.json --special 2>&1 | head -n 1
twobit: --special says how text becomes ids: it goes with --ids

# A template by itself; what else the object holds are variables, and go before our own.
$ printf '{{ bos_token }}{{ messages | length }}{{ tools | tojson }}{{ mood }}{{ add_generation_prompt }}{{ eos_token }}' >x.jinja
$ echo '{"messages": [], "mood": "good"}' | twobit template x.jinja --messages - --bos '<b>' --eos '<e>'
<b>0nullgoodTrue<e>
$ echo '{"messages": [], "tools": [{"b": 1, "a": 0.1}], "add_generation_prompt": 7}' | twobit template x.jinja --messages -
0[{"b": 1, "a": 0.1}]7

# What the template says when it refuses reaches the user.
$ echo '{"messages": [{"role": "tool", "content": "?"}]}' | twobit template tiny.gguf --messages -
! twobit: the template refuses at line 2: this model knows no tools
= 1
$ printf '{%% if x %%}' >x.jinja; twobit template x.jinja --messages chat.json
! twobit: chat template: the template is malformed at line 1: it ends where 'endif' should follow
= 1

$ make_tiny_model plain.gguf; twobit template plain.gguf --messages chat.json
! twobit: 'plain.gguf' has no chat template; 'twobit chat --template FILE' takes one, 'twobit run' continues a text without
= 1
$ echo '{"messages": [}' | twobit template tiny.gguf --messages -
! twobit: '-' is not valid JSON: * at line 1 (glob)
= 1
$ echo '{"message": []}' | twobit template tiny.gguf --messages -
! twobit: '-' has no list "messages"
= 1
$ echo '{"messages": [{"content": "Hi"}]}' | twobit template tiny.gguf --messages -
! twobit: message 1 of '-' has no "role"
= 1
$ twobit template tiny.gguf --messages missing.json
! twobit: cannot open 'missing.json': No such file or directory
= 1
$ twobit template tiny.gguf 2>&1 | head -n 1
twobit: give the conversation with --messages
$ twobit template tiny.gguf --messages chat.json --bos x 2>&1 | head -n 1
twobit: 'tiny.gguf' brings its special tokens: --bos and --eos are for .jinja files
$ twobit template tiny.gguf --messages chat.json >/dev/full
! twobit: cannot write the output: No space left on device
= 1
