# The program has a stack of its own: what nests deeply is refused, whatever the limit was when it was started.
$ make_tiny_model tiny.gguf; echo '[{"role": "user", "content": "Hi"}]' >chat.json
$ printf '{%% macro f(n) %%}{{ f(n + 1) }}{%% endmacro %%}{{ f(0) }}' >deep.jinja; printf '{{ messages | tojson }}' >show.jinja
$ { printf '{"messages": [], "deep": '; head -c 2000 /dev/zero | tr '\0' '['; head -c 2000 /dev/zero | tr '\0' ']'; echo '}'; } >deep.json
$ (ulimit -s 64; twobit template deep.jinja --messages chat.json)
! twobit: the template failed at line 1: calls or values nest too deeply
= 1
$ (ulimit -s 64; twobit template show.jinja --messages deep.json)
[]
$ (ulimit -s 64; twobit perplexity tiny.gguf --max-tokens 512 -t 2; twobit quantize tiny.gguf -o q.gguf -m bpdq --calib-tokens 256 -t 2) >/dev/null 2>&1
