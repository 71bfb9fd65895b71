$ printf '<title>A page</title><h1>Facts</h1><input name=who value=abc><button title=Go>&#xF044; Go</button><p style="margin-top:3000px">end' >page.html

# The tab's name changes from run to run.
$ twobit saas shot "file://$PWD/page.html" -o page.png | sed 's/[0-9A-F]\{4\}$/LABEL/; s/Tab [0-9A-F]*:/Tab LABEL:/'
Page: it appears empty; 0 links, 2 interactive, 0 iframes, 0 shadow roots, 0 images, 8 elements
Current tab: LABEL
Available tabs:
Tab LABEL: file://*/page.html - A page (glob)
0.0 pages above, 2.5 pages below (glob)
[Start of page]
Facts
[1]<input name=who value=abc />
[2]<button title=Go />
	Go
$ head -c 8 page.png | od -An -tx1
 89 50 4e 47 0d 0a 1a 0a
$ twobit saas shot "file://$PWD/page.html" --full-page --json | keys
counts listed seconds text title url
$ twobit saas shot "file://$PWD/page.html" --full-page -o page.jpg --jpeg 60 --viewport 320x200 | tail -n 1
end
$ head -c 3 page.jpg | od -An -tx1
 ff d8 ff

# What goes wrong is said in a sentence.
$ twobit saas shot "file://$PWD/none.html"
! twobit: cannot open 'file://*/none.html': net::ERR_FILE_NOT_FOUND (glob)
= 1
$ twobit saas shot "file://$PWD/page.html" --browser /no/such/browser
! twobit: cannot run '/no/such/browser': No such file or directory
= 1
$ twobit saas shot "file://$PWD/page.html" --browser /bin/true
! twobit: the browser does not come up: the browser has ended
= 1
$ twobit saas shot
! twobit: the address is missing
! usage: twobit saas shot URL [options]
! 'twobit help saas shot' explains the options
= 2
$ twobit saas shot "file://$PWD/page.html" --viewport 1280
! twobit: '1280' is no size; write 1280x900
! usage: twobit saas shot URL [options]
! 'twobit help saas shot' explains the options
= 2

# Killed, it leaves no profile behind, and so no browser.
$ mkdir temporary; export TMPDIR="$PWD/temporary"; twobit saas shot "file://$PWD/page.html" >out & pid=$!; while kill -0 $pid && ! ls temporary/*/* >list 2>&1; do sleep 0.05; done; kill -9 $pid; while [ "$(ls temporary)" ]; do sleep 0.05; done
