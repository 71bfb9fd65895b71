$ make_tiny_model tiny.gguf --chat-template

# Each line of a pipe is a message; stdout gets the answers and nothing else. Token 268 is an r.
$ printf 'Hi\n\nthe end' | twobit chat tiny.gguf -q -n 4 --temp 0 --logit-bias 268=1000
rrrr
rrrr
$ printf 'Hi\n' | twobit chat tiny.gguf -n 4 --temp 0 --logit-bias 268=1000
rrrr
! twobit: the answer ends after 4 tokens, the most that -n allows
! twobit: context: 25 of 256 tokens
$ twobit chat tiny.gguf </dev/null

# A line may end in CR LF, also that of a command and one that goes on; a CR inside stays.
$ printf '/system Be brief.\nHi\\\nthe\rend\n/save a.json\n/reset\n' >lf; sed 's/$/\r/' lf >crlf
$ twobit chat tiny.gguf -q -n 4 --temp 0 --logit-bias 268=1000 <lf; mv a.json b.json
rrrr
$ twobit chat tiny.gguf -q -n 4 --temp 0 --logit-bias 268=1000 <crlf; cmp a.json b.json && grep -c 'Hi.nthe.rend' a.json
rrrr
1

# The model may end its answer, and so may a stop string.
$ echo Hi | twobit chat tiny.gguf -q --logit-bias 2=1000 | od -An -c | tr -d ' '
\n
$ echo Hi | twobit chat tiny.gguf -q -n 9 --temp 0 --logit-bias 268=1000 --stop rrr | od -An -c | tr -d ' '
\n

# The model sees what 'template' shows.
$ printf '/system Be brief.\nHi\n/save a.json\n' | twobit chat tiny.gguf -n 4 --temp 0 --logit-bias 268=1000 2>err
rrrr
$ tail -n 1 err
twobit: saved 3 messages in 'a.json'
$ twobit template tiny.gguf --messages a.json
<s>system: Be brief.</s>
user: Hi</s>
assistant: rrrr</s>
assistant: 

# A conversation that is loaded goes on as the one that was saved: what was computed before and what
# is computed anew agree.
$ printf 'the hat\n/save b.json\nand the end\n' | twobit chat tiny.gguf -q -n 20 --temp 0 --stop x >a
$ printf '/load b.json\nand the end\n' | twobit chat tiny.gguf -q -n 20 --temp 0 --stop x >b; test -s b; tail -c $(wc -c <b) a | cmp - b
$ printf '/load b.json\n' | twobit chat tiny.gguf
! twobit: loaded 2 messages; the next answer follows them
$ printf 'the hat\nand the end\n/stats\n' | twobit chat tiny.gguf -q -n 4 --temp 0 --logit-bias 268=1000
rrrr
rrrr
! context   * of 256 tokens, 4 messages (glob)
! prompt    * tokens computed, * tokens/s; 27 were there already (glob)
! answer    4 tokens, * tokens/s (glob)
! memory    * MiB at most (glob)

# Commands.
$ printf '/system\n/system A\n/system B\n/system\n/save c.json\n' | twobit chat tiny.gguf -q
! no system message; '/system TEXT' sets one
! B
$ cat c.json
{
  "messages": [
    {
      "role": "system",
      "content": "B"
    }
  ]
}
$ printf 'Hi\n/reset\n/save d.json\n' | twobit chat tiny.gguf --system B -q -n 1 >out; cmp c.json d.json
$ printf '//x\none \\\ntwo\n/save e.json\n' | twobit chat tiny.gguf -q --logit-bias 2=1000 >out; grep content e.json
      "content": "/x"
      "content": ""
      "content": "one \ntwo"
      "content": ""
$ echo /help | twobit chat tiny.gguf 2>&1 | head -n 1
/system TEXT  tell the model how to behave; alone: show what it was told
$ printf '/hepl\nHi\n' | twobit chat tiny.gguf
! twobit: unknown command '/hepl'; did you mean '/help'?
= 1
$ echo /load | twobit chat tiny.gguf
! twobit: '/load' needs the name of a file
= 1
$ echo /load missing | twobit chat tiny.gguf
! twobit: cannot open 'missing': No such file or directory
= 1
$ echo /reset now | twobit chat tiny.gguf
! twobit: '/reset' stands alone
= 1

# Each turn ends a prompt, of which a budget keeps a part.
$ printf 'the end of the end\nmore of it\n' | twobit chat tiny.gguf -n 20 --temp 0 -q >all
$ printf 'the end of the end\nmore of it\n' | twobit chat tiny.gguf -n 20 --temp 0 -q --evict snapkv:200 | cmp - all
$ printf 'the end of the end\nmore of it\n' | twobit chat tiny.gguf -n 20 --temp 0 -q --evict snapkv:36 >some; cmp -s some all; wc -l <some
2

# A stream has no limit: what it drops is told.
$ printf 'the end of the end\nmore of it\n/stats\n' | twobit chat tiny.gguf -n 20 --temp 0 --stream 2:20 >/dev/null
! twobit: the stream is full: from here on tokens are dropped behind the first ones
! twobit: the answer ends after 20 tokens, the most that -n allows
! twobit: 27 of 49 tokens were dropped from the stream
! twobit: the answer ends after 20 tokens, the most that -n allows
! twobit: 95 of 117 tokens were dropped from the stream
! stream    117 tokens, 95 of them dropped, 4 messages
! prompt    68 tokens computed, * tokens/s; 30 were there already (glob)
! answer    20 tokens, * tokens/s (glob)
! memory    * MiB at most (glob)
$ twobit chat tiny.gguf --stream 2:20 --ctx 100 2>&1 </dev/null | head -n 1
twobit: option '--stream': a stream has no end; it goes without '--ctx'

# The context is a limit that is told; nothing is shifted out of it.
$ printf 'Hi\nHi\n' | twobit chat tiny.gguf --ctx 30 --temp 0 --logit-bias 268=1000
rrrrrrrrr
! twobit: warning: the context of 30 tokens is full and the answer ends here; '/reset' begins anew, the option --ctx makes room
! twobit: context: 30 of 30 tokens
! twobit: the context is full: with this message the conversation has * tokens, and 30 fit; '/reset' begins anew, the option --ctx makes room (glob)
= 1
$ printf 'Hi\n/reset\nHi\n' | twobit chat tiny.gguf --ctx 30 --temp 0 --logit-bias 268=1000 2>err
rrrrrrrrr
rrrrrrrrr
$ twobit chat tiny.gguf --ctx 300 </dev/null
! twobit: warning: the model was trained for 256 tokens: beyond them its answers may be poor

# A template in place of the model's own, or of none.
$ make_tiny_model plain.gguf; echo Hi | twobit chat plain.gguf
! twobit: 'plain.gguf' has no chat template; 'twobit chat --template FILE' takes one, 'twobit run' continues a text without
= 1
$ printf '{{ raise_exception("no " + messages[0].content) }}' >x.jinja; echo Hi | twobit chat plain.gguf --template x.jinja
! twobit: the template refuses at line 1: no Hi
= 1

$ { sleep 0.5; yes Hi | twobit chat tiny.gguf -q -n 4; echo $? >status; } | true; cat status
1
$ echo Hi | twobit chat tiny.gguf -q -n 4 >/dev/full
! twobit: cannot write the output: No space left on device
= 1
