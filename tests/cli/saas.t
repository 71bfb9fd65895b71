# Tasks, verifiers, and what is counted of them; no application runs here.

$ mkdir -p tasks/inputs tasks/Garden/plant tasks/Garden/water tasks/Office/mail && cd tasks
> printf 'apps:\n  wiki:\n    app_index: 3\n  e-label:\n    app_index: 17\n    fixed_port: 6055\n' >apps.yaml
> echo '{"task_id": "plant", "meta_data": {"sites": ["wiki", "e-label"]}, "multimodal_input": [{"file": "inputs/a.png", "type": "image"}]}' >Garden/plant/meta.json
> printf '**Steps:**\n1. Sow.\n2. Wait.\n' >Garden/plant/description.md; echo x >inputs/a.png
> echo '{"meta_data": {"sites": ["e-label", "nowhere"]}}' >Garden/water/meta.json; echo "Water it." >Garden/water/description.md
> echo '{"category_id": "Post"}' >Office/mail/meta.json; echo "Write." >Office/mail/description.md
> cat >Garden/plant/verify.py <<'END'
> import os, subprocess, sys
> gone = subprocess.run(["docker", "exec", "-e", "A=1", os.environ["WIKI_CONTAINER"], "true"], capture_output=True, text=True)
> names = [os.environ[n] for n in ("SERVER_HOSTNAME", "WIKI_PORT", "E_LABEL_PORT", "E_LABEL_DB_CONTAINER")]
> print("[PASS] (1pt) input there", file=sys.stderr)
> print(f"[FAIL] (2pt) planted  ({gone.stderr.strip()}, {gone.returncode})", file=sys.stderr)
> print(f"[FAIL] (1pt) names  ({' '.join(names)}; judge: {os.environ.get('MINDRA_API_KEY')})", file=sys.stderr)
> print("SCORE: 0.250  PASS: False  (1/4)", file=sys.stderr)
> END
> echo 'import sys; print("[PASS] (3pt) dry", file=sys.stderr); sys.exit(2)' >Garden/water/verify.py

$ twobit saas list --tasks-dir tasks | sed 's/ *$//'
task   domain  steps  inputs  verifier  applications
plant  Garden      2       1  yes       wiki e-label
water  Garden      0       0  yes       e-label nowhere
mail   Post        0       0  no
3 tasks
! twobit: warning: the registry does not know 'nowhere', which the task 'water' uses

$ twobit saas list --tasks-dir tasks --domain Post --json
{
  "tasks": [
    {
      "task_id": "mail",
      "category_id": "Post",
      "sites": [],
      "verifier": false,
      "multimodal": false,
      "inputs": [],
      "steps": [],
      "folder": "tasks/Office/mail"
    }
  ]
}
$ twobit saas list --tasks-dir tasks --task-ids mail,plant --json | grep -e task_id -e Sow -e png
      "task_id": "plant",
          "file": "inputs/a.png",
          "path": "*/tasks/inputs/a.png" (glob)
        "Sow.",
      "task_id": "mail",
$ SAAS_BASE_PORT=41000 twobit saas list --tasks-dir tasks plant --show prompt --slot 1 | tail -n 6
- e-label: http://localhost:41057
- wiki: http://localhost:41043
**Steps:**
1. Sow.
2. Wait.
$ twobit saas list --tasks-dir tasks mail --show todo | sed -n '1s/# //p; 5p'
Task: mail
- [ ] (no steps were found in the task: make a plan of your own)

# Facts: what verifiers say where nothing runs. No key reaches them.
$ MINDRA_API_KEY=secret LLM_API_KEY=secret twobit saas facts --tasks-dir tasks --json -q --slot 5 -o facts.json
{
  "checks": 4,
  "points": 7,
  "mean_score": 0.41667
}
! twobit: warning: the registry does not know 'nowhere', which the task 'water' uses
$ tr -d ' \n' <facts.json
{"version":1,"tasks":{"plant":{"checks":3,"points":4,"earned":1,"complete":true},"water":{"checks":1,"points":3,"earned":3,"complete":false},"mail":{"checks":0,"points":0,"earned":0,"complete":false}}}
$ twobit saas facts --tasks-dir tasks -q plant water 2>/dev/null | sed 's/ *$//'
task   domain  checks  points  for nothing
plant  Garden       3       4            1
water  Garden       1       3            3  gave up early
2 tasks, 4 checks, 7 points; doing nothing scores 0.62500

# What is wrong with tasks.
$ mkdir tasks/broken; echo '{' >tasks/broken/meta.json
$ twobit saas lint --tasks-dir tasks -q
task   *  flaw (glob)
plant  error    doing nothing earns 1 of its 4 points
water  warning  no steps are found in its description; the agent begins without a plan
water  error    the registry does not know its application 'nowhere'
water  error    doing nothing passes it
water  error    doing nothing earns 3 of its 3 points
water  error    its verifier gives up early: it ends without a SCORE line
water  warning  it has one check only: all or nothing
mail   warning  no steps are found in its description; the agent begins without a plan
mail   error    it uses no application
mail   error    it has no verifier
3 tasks, 8 errors, 3 warnings
! twobit: warning: the folder 'tasks/broken' is passed over: meta.json is not valid JSON: line 2: string or '}' expected near end of file
! twobit: warning: the registry does not know 'nowhere', which the task 'water' uses
= 1
$ rm -r tasks/broken; twobit saas lint --tasks-dir tasks --no-run plant
1 tasks, 0 errors, 0 warnings
$ twobit saas lint --tasks-dir tasks --no-run mail --json | tr -d ' \n'
{"tasks":[{"task_id":"mail","flaws":[{"level":"warning","text":"nostepsarefoundinitsdescription;theagentbeginswithoutaplan"},{"level":"error","text":"itusesnoapplication"},{"level":"error","text":"ithasnoverifier"}]}],"errors":2,"warnings":1}

# One verifier, on what runs now; `docker` is that of the machine then.
$ printf '#!/bin/sh\necho "$4" >&2; exit 7\n' >docker; chmod +x docker
$ LLM_API_KEY=key SAAS_SLOT_PREFIX=own PATH=$PWD:$PATH twobit saas verify plant --tasks-dir tasks --slot 2 --hostname garden >out; echo $?; sed 's/ *$//' out
1
      points  check        detail
pass       1  input there
FAIL       2  planted      own_2_wiki, 7
FAIL       1  names        garden 30083 30097 own_2_e-label; judge: key
FAIL: 1 of 4 points, score 0.250
$ twobit saas verify water --tasks-dir tasks --json 2>/dev/null
{
  "task_id": "water",
  "status": "PASS",
  "score": 1.0,
  "earned": 3,
  "total": 3,
  "all_pass": true,
  "checks": [
    {
      "label": "dry",
      "weight": 3,
      "passed": true,
      "detail": ""
    }
  ],
  "returncode": 2,
  "error": null
}
# Result files tell more than the official ones, and no key.
$ echo 'import os, sys; print("[FAIL] (1pt) key  (" + os.environ["MINDRA_API_KEY"] + ")", file=sys.stderr); print("out")' >tasks/Office/mail/verify.py
> MINDRA_API_KEY='sec"ret-key' twobit saas verify mail --tasks-dir tasks --result-dir kept --run 2 >/dev/null; grep -c ret-key kept/mail_r2_verify.json
> sed -n -e '/detail/p' -e '/twobit/,$p' kept/mail_r2_verify.json | sed 's/: [0-9]*,/: N,/'; rm tasks/Office/mail/verify.py
0
      "detail": "************"
  "twobit": {
    "audit": {
      "score_line": false,
      "output_cut": false
    },
    "wall_ms": N,
    "stdout_tail": "out\n",
    "stderr_tail": "[FAIL] (1pt) key  (************)\n",
    "attempts": 1
  }
}
$ twobit saas verify mail --tasks-dir tasks
SKIP: 0 of 0 points, score 0.000; no verify.py
= 4
$ printf '#!/bin/sh\nexec python3 "$@"\n' >own-python; chmod +x own-python; twobit saas verify water --tasks-dir tasks --python ./own-python -q 2>/dev/null | tail -n 1
PASS: 3 of 3 points, score 1.000
$ printf '[PASS] (1pt) a\n[FAIL] (2pt) b\n' | twobit saas verify --log - --json | grep score
  "score": 0.3333333333333333,
$ SAAS_BASE_PORT=65500 twobit saas verify water --tasks-dir tasks --slot 1 2>&1 | tail -n 1
twobit: slot 1 has no ports: they would begin at 65540
$ echo "no checks" | twobit saas verify --log -
ERROR: 0 of 0 points, score 0.000
= 4
$ printf '[PASS] (1pt) a\nSCORE: 1..0  PASS: True  (1/1)\n' >log; twobit saas verify --log log
ERROR: 0 of 0 points, score 0.000; the score in the verifier's output is no number
= 4

# What is no good.
$ twobit saas list
! twobit: no tasks are given; use --tasks-dir DIR
! usage: twobit saas list --tasks-dir DIR [TASK...] [options]
! 'twobit help saas list' explains the options
= 2
$ twobit saas list --tasks-dir tasks moil 2>&1 | head -n 1
twobit: there is no task 'moil' in 'tasks'
$ cp -r tasks twice; cp -r twice/Garden twice/Again; twobit saas list --tasks-dir twice 2>&1 | head -n 1
twobit: the task_id 'plant' is that of two tasks, in 'twice/Again/plant' and 'twice/Garden/plant'; --allow-duplicates takes both
$ twobit saas list --tasks-dir twice --allow-duplicates -q 2>/dev/null | cut -d ' ' -f 1 | paste -sd ' '
task plant water plant@2 water@2 mail  5
$ rm tasks/apps.yaml; twobit saas facts --tasks-dir tasks 2>&1 | head -n 1
twobit: there is no registry of applications; use --apps FILE
$ printf 'apps:\n  wiki: {app_index: 3}\n' >bad.yaml; twobit saas facts --tasks-dir tasks --apps bad.yaml
! twobit: 'bad.yaml', line 2, column 9: a mapping in braces is not read
= 1
$ twobit saas facts --tasks-dir tasks --apps bad.yaml --python false 2>&1 | wc -l
1

# The program under another name.
$ mkdir bin; ln -s "$(command -v twobit)" bin/docker
> for call in "exec -i -e A=1 box true" "cp box:/a b" "inspect -f {{.State.StartedAt}} box" "ps -a" "logs --tail 3 box" "pull x" exec; do bin/docker $call; echo "$?"; done
1
1
1
0
1
125
125
! Error response from daemon: No such container: box
! Error response from daemon: No such container: box
! Error: No such object: box
! Error response from daemon: No such container: box
! docker: 'pull' is not a call that a slot without containers understands
! docker: 'exec' is not a call that a slot without containers understands

# Results, summed up. A run that has no result scores 0; what broke outside the agent is counted apart.
$ printf 'apps:\n  wiki:\n    app_index: 3\n  e-label:\n    app_index: 17\n  nowhere:\n    app_index: 2\n' >tasks/apps.yaml
> mkdir -p results/org_model && cd results/org_model
> echo '{"model": "org/model", "workers": 2, "max_steps": 20, "duration_s": 3661.5, "started_at": "2026-11-30T10:00:00"}' >run.json
> echo '{"status": "completed", "agent_output": "<b>done</b>", "trajectory": [{"step": 1, "title": "<script>x</script>", "actions": [{"navigate": {"url": "http://x"}}, {"done": {"success": true}}], "results": [{"is_done": true}]}]}' >plant_r0.json
> echo '{"status": "FAIL", "score": 0.25, "earned": 1, "total": 4, "all_pass": false, "returncode": 1, "checks": [{"label": "a", "weight": 1, "passed": true, "detail": ""}, {"label": "b", "weight": 3, "passed": false, "detail": "exception: x"}]}' >plant_r0_verify.json
> echo '{"status": "completed", "agent_output": "", "trajectory": []}' >water_r0.json
> echo '{"status": "PASS", "score": 1.0, "earned": 3, "total": 3, "all_pass": true, "returncode": 0, "checks": [{"label": "dry", "weight": 3, "passed": true, "detail": ""}]}' >water_r0_verify.json
$ twobit saas report --tasks-dir tasks --result-dir results
domain  tasks  best score  passed  steps
Garden      2       0.625       1    0.5
Post        1       0.000       0    0.0
all         3       0.417       1    0.3
strictly: score 0.625, 1 of 3 runs resolved; 1 suspicious, 1 broken outside the agent
! twobit: the report is in 'results/org_model'
$ cd results/org_model; ls; cat results.csv; grep -c '<script>x' report.html; grep -c '<testcase' junit.xml
junit.xml
plant_r0.json
plant_r0_verify.json
report.html
report.md
results.csv
run.json
summary.json
water_r0.json
water_r0_verify.json
task_id,domain,run,agent_status,stop_reason,steps,verify_status,score,earned,total,strict_error,strict_resolved,strict_score,doubts
plant,"Garden",0,"completed","",1,"FAIL",0.25,1,4,0,0,0.25,"a check failed because of the verifier"
water,"Garden",0,"completed","",0,"PASS",1,3,3,0,1,1,""
mail,"Post",0,"missing","",0,"missing",0,0,0,1,0,0,""
0
3
$ twobit saas report --tasks-dir tasks --result-dir results/org_model --json -q | grep -e '"model"' -e human -e '"avg_best' -e 'by_app' | head -n 4
  "model": "org/model",
    "duration_human": "1h 1m 1s"
    "avg_best_score": 0.4167,
      "avg_best_score": 0.625,
$ twobit saas report --tasks-dir tasks --result-dir results --facts facts.json -q | tail -n 1
strictly: score 0.625, 1 of 3 runs resolved; 1 suspicious, 1 broken outside the agent
$ cp -r results/org_model results/other; twobit saas report --tasks-dir tasks --result-dir results -q 2>&1 | sed 's/: .other., .org_model.;/: A, B;/; s/: .org_model., .other.;/: A, B;/'
twobit: 'results' holds the results of several models: A, B; choose one with --model
$ twobit saas report --tasks-dir tasks --result-dir results --model org/model -q | wc -l
6
$ sed -i 's/0.25/0.75/' results/other/plant_r0_verify.json; echo '{"model": "other"}' >results/other/run.json
> twobit saas compare results/org_model results/other --tasks-dir tasks
               score  score                           better / worse    sign
domain  tasks   of A   of B   B - A    95 % interval          / same  test p
Garden      2  0.625  0.875  +0.250  +0.000 … +0.500       1 / 0 / 1   1.000
all         2  0.625  0.875  +0.250  +0.000 … +0.500       1 / 0 / 1   1.000
A: org/model, runs of each task: 1; B: other, 1; tasks left out: 1
$ twobit saas compare results/org_model results/other --tasks-dir tasks --json | keys
all domains first left_out second tasks
$ twobit saas compare results/org_model --tasks-dir tasks 2>&1 | head -n 1
twobit: give two folders of results
$ twobit saas report --tasks-dir tasks --result-dir tasks
! twobit: there are no results in 'tasks'
= 1
$ twobit saas report --tasks-dir tasks 2>&1 | head -n 1
twobit: no results are given; use --result-dir DIR
