$ make_tiny_model tiny.gguf --blocks 3
$ twobit analyze tiny.gguf --calib-tokens 512
                       effective  random     rank   energy   gap of  skipped:      skipped:* (glob)
block  place    score       rank    rank      gap     gain  weights      nats  perplexity +  weights
    0 * 30,720 (glob)
    1 * 30,720 (glob)
    2 * 30,720 (glob)
score v2; spectra of qkv on 510 tokens; skipping on 256 tokens, where the whole model has perplexity *; took * (glob)

$ twobit analyze tiny.gguf --calib-tokens 512 --score ppl --skip-tokens 512 --projections all7 --per-head --center --keep-first --draws 2 --json >json; keys <json
blocks perplexity projections score seconds seed skip_tokens tokens
$ grep -e tokens -e '"score": "' json
  "score": "ppl",
  "tokens": 512,
  "skip_tokens": 512,
$ grep -o '^      "[a-z_]*"' json | tr -d ' "' | sort | uniq -c | tr -s ' ' | paste -sd ' ' -
 3 effective_rank  3 energy_gain  3 free_gap  3 index  3 loss_increase  3 place  3 ppl_drop  3 random_rank  3 rank_gap  3 score  3 weights

# The same numbers at any number of threads.
$ twobit analyze tiny.gguf --json -t 1 | grep -v seconds >one; twobit analyze tiny.gguf --json -t 3 | grep -v seconds >three; cmp one three

# Pictures, where gnuplot is installed; a sentence where it is not.
$ command -v gnuplot >/dev/null || exit 0
> for end in svg png; do
>     twobit analyze tiny.gguf --plot plot.$end >/dev/null; test -s plot.$end || echo "no plot.$end"
> done
> draws plot.svg
$ program=$(command -v twobit); PATH=/nowhere "$program" analyze tiny.gguf --plot missing.svg
! twobit: cannot draw 'missing.svg': gnuplot is not installed (package gnuplot-nox)
= 1
$ twobit analyze tiny.gguf --plot plot.gif 2>&1 | head -n 1
twobit: 'plot.gif' is no picture twobit can draw; use a name that ends in .svg or .png

$ make_tiny_model nan.gguf --nan; twobit analyze nan.gguf
! twobit: the model is broken: its logits are not finite
= 1
$ twobit analyze tiny.gguf --score best 2>&1 | head -n 1
twobit: unknown score 'best'; use v2, v1, ppl or free
$ twobit analyze tiny.gguf --projections best 2>&1 | head -n 1
twobit: unknown projections 'best'; use qkv, qkvo or all7
$ twobit analyze tiny.gguf --skip-tokens 255
! twobit: 255 tokens are too few for skipping blocks: the least is one window, 256
= 1
$ twobit analyze tiny.gguf --skip-tokens 1 --score ppl >/dev/null
! twobit: 1 tokens are too few for skipping blocks: the least is one window, 256
= 1
$ twobit analyze missing.gguf
! twobit: cannot open 'missing.gguf': No such file or directory
= 1
