"""The pages that browser_test.c looks at, on a port of 127.0.0.1 that is printed; goes when its standard input ends."""
import http.server
import os
import sys
import threading
import time

PAGES = {}


def page(path, body, head=""):
    PAGES[path] = f"<!doctype html><html><head><title>{path}</title>{head}</head><body>{body}</body></html>"


page("/inner", """<p>Inner text</p><button id=ib onclick="document.getElementById('said').textContent = 'inner was clicked'">
Inner button</button><input name=inside value=framed><p id=said></p>""")
page("/frames", """<h1>Frames</h1><div style="height:50px"></div><iframe src="/inner" width=400 height=150 title=same></iframe>
<iframe src="http://127.0.0.1:PORT/inner" width=400 height=150 style="margin-left:30px" title=apart></iframe>""")
page("/shadow", """<div id=o></div><div id=k></div><p id=said></p><script>
const say = text => document.getElementById('said').textContent = text;
const o = document.getElementById('o').attachShadow({mode: 'open'});
o.innerHTML = '<button>Open button</button>';
const k = document.getElementById('k').attachShadow({mode: 'closed'});
k.innerHTML = '<button>Closed button</button>';
o.querySelector('button').onclick = () => say('open was clicked');
k.querySelector('button').onclick = () => say('closed was clicked');
</script>""")
page("/dialogs", """<button onclick="alert('hello'); say('alerted')">alert</button>
<button onclick="say('confirm gave ' + confirm('sure?'))">confirm</button>
<button onclick="say('prompt gave ' + prompt('who?', 'me'))">prompt</button>
<button onmousedown="alert('early')">mousedown</button>
<input name=leave><p id=said></p><script>
const say = text => document.getElementById('said').textContent = text;
addEventListener('beforeunload', event => { if (document.querySelector('input').value) event.preventDefault(); });
</script>""")
page("/tabs", """<a href="/other" target=_blank>blank</a><button onclick="window.open('/other')">open</button><a href="/other">here</a>
<a href="/report">download</a>""")
page("/other", "<h1>Another page</h1><button>Other button</button>")
page("/fields", """<form onsubmit="return false">
<label for=u>User</label><input id=u name=user placeholder=Username value=before>
<input type=password name=secret value=hidden-secret><input type=checkbox name=agree><input type=radio name=r>
<input type=date name=day><textarea name=lines></textarea><div contenteditable id=free>free text</div>
<input name=suggest role=combobox aria-autocomplete=list>
<select name=prio><option>Lowest<option>Low<option selected>Normal<option value=h>High<option>Highest</select>
<input type=file name=upload><button disabled>Disabled</button><button type=button title=Compose>&#xF044; Compose</button></form>
<div class=xterm><textarea name=terminal></textarea></div><p id=said></p><script>
const say = text => document.getElementById('said').textContent = text;
document.querySelector('[type=file]').onchange = event => say('file ' + event.target.files[0].name);
document.querySelector('select').onchange = event => say('chose ' + event.target.value);
document.querySelector('[type=date]').onchange = event => say('day ' + event.target.value);
document.querySelector('[name=suggest]').onkeydown = event => say('key ' + event.key);
// As terminals do: a key is written when it goes down, and once more as a character.
document.querySelector('[name=terminal]').onkeypress = event => { event.target.value += event.key; };
</script>""")
page("/things", """<span style="cursor:pointer" onclick="say('span was clicked')">Pointer span <i>with a part</i></span>
<div id=listens>Listener</div><div aria-hidden=true><button>Hidden from readers</button></div>
<div style="opacity:0"><button>Transparent</button></div><button style="visibility:hidden">Invisible</button>
<div style="position:relative;width:300px;height:40px"><button>Covered</button>
<div style="position:absolute;inset:0;background:#fff">Cover</div></div>
<button style="pointer-events:none">Untouchable</button><button style="display:none">Not there</button>
<div id=scroller style="overflow-y:auto;height:100px"><div style="height:400px">Scrolled content</div></div>
<p id=said></p><div style="height:3000px"></div><button onclick="say('far was clicked')">Far button</button><script>
const say = text => document.getElementById('said').textContent = text;
document.getElementById('listens').addEventListener('click', () => say('listener was clicked'));
</script>""")
page("/late", """<button onclick="cover.style.display='block'">Show cover</button><div style="position:relative;width:300px;height:40px">
<button onclick="say('covered was clicked')">Under</button>
<div id=cover style="display:none;position:absolute;inset:0;background:#fff">Cover</div></div><p id=said></p><script>
const say = text => document.getElementById('said').textContent = text, cover = document.getElementById('cover');
</script>""")
page("/replaced", """<div id=place><button>Save</button></div><script>
setTimeout(() => {}, 0);
function replace() { document.getElementById('place').innerHTML = '<button onclick="document.title=\\'saved\\'">Save</button>'; }
</script><button onclick="replace()">Replace</button>""")
page("/polling", "<h1>Polling</h1><script>(function poll() { fetch('/slow').finally(poll); })()</script>")
page("/stream", "<h1>Streaming</h1><script>new EventSource('/events')</script>")
page("/big", "".join(f"<div><span>row {i}</span><a href='#{i}'>link {i}</a><button>button {i}</button></div>\n"
                     for i in range(2500)))
page("/article", """<h2>Prices <b>now</b></h2><p>All in <a href="/other">euro</a>.</p><ul><li>one<li>two<ul><li>deep</ul></ul>
<table><tr><th>what<th>price<tr><td>tea|pot<td>3</table><pre>a  b\nc</pre><script>1</script><p hidden>unseen</p>
<select><option>no<option selected>yes</select><input type=password value=secret>""")
page("/title", "<p>Script in a title</p>", "<script>document.title = '<script>alert(1)</' + 'script>'</script>")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, body, kind="text/html; charset=utf-8", status=200, headers=()):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path in PAGES:
            self.answer(PAGES[path].replace("PORT", str(self.server.server_port)))
        elif path == "/report":
            self.answer("numbers", "text/csv", headers=[("Content-Disposition", 'attachment; filename="../re port.csv"')])
        elif path == "/slow":
            time.sleep(60)
            self.answer("")
        elif path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            while True:
                self.wfile.write(b"data: x\n\n")
                self.wfile.flush()
                time.sleep(0.1)
        elif path == "/locked":
            if self.headers.get("Authorization") == "Basic YW5uOnNlY3JldA==":
                self.answer("<h1>Unlocked</h1>")
            else:
                self.answer("no", status=401, headers=[("WWW-Authenticate", 'Basic realm="x"')])
        else:
            self.answer("<h1>Nothing here</h1>", status=404)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # pages are left while they are answered


server = Server(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
os._exit(0)
