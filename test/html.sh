#!/bin/sh
# SPDX-License-Identifier: ISC
# Render pages with mandoc into DIR, with an index; links lead to pages, to the
# place of a function in its page, or to the pages of the system elsewhere.
# Fails where a link leads nowhere.  usage: html.sh DIR PAGE...
set -eu

OTHERS=https://man7.org/linux/man-pages

[ $# -ge 2 ] || {
	echo 'usage: html.sh DIR PAGE...' >&2
	exit 2
}
dir=$1
shift
version=$(sed -n 's/.define EDDY_VERSION *"\(.*\)"/\1/p' include/eddy/base.h)
mkdir -p "$dir"

head()
{
	cat <<-END
	<!DOCTYPE html>
	<html lang="en">
	<head>
	<meta charset="utf-8">
	<meta name="viewport" content="width=device-width, initial-scale=1">
	<title>$1</title>
	<link rel="stylesheet" href="eddy.css">
	</head>
	<body>
	<nav><a href="index.html">eddy $version</a> <a href="eddy.7.html">eddy(7)</a>
	<a href="index.html#essays">essays</a> <a href="index.html#modules">modules</a>
	<a href="index.html#names">names</a></nav>
	END
}

# The names of NAME, one a line, and what the page is about.
names() { awk '/^\.Sh /{ on = $2 == "NAME" } on && $1 == ".Nm"{ print $2 }' "$1"; }
about() { sed -n 's/^\.Nd //p' "$1"; }

# usage: list PAGE...: terms with what they are about.
list()
{
	echo '<dl>'
	for page; do
		file=${page##*/}
		echo "<dt><a href=\"$file.html\">${file%.?}(${file##*.})</a></dt>"
		echo "<dd>$(about "$page")</dd>"
	done
	echo '</dl>'
}

cat >"$dir/eddy.css" <<'END'
body { max-width: 44em; margin: 0 auto; padding: 0 1em 4em; color: #222;
    background: #fefefc; font: 17px/1.5 Georgia, "DejaVu Serif", serif; }
nav { padding: .6em 0; border-bottom: 1px solid #ccc; font-size: 90%; }
nav a { margin-right: 1.2em; }
a[href] { color: #04558c; text-decoration: none; }
a:hover { text-decoration: underline; }
a.permalink[href] { color: inherit; }
h1 { font-size: 1.2em; margin: 1.8em 0 .5em; }
h2 { font-size: 1.05em; margin: 1.5em 0 .4em; }
code, pre, .Fa, .Ft, .Vt, .Ar { font-family: "DejaVu Sans Mono", Menlo, monospace;
    font-size: 84%; font-style: normal; }
code code, pre code { font-size: 100%; }
code.Nm, code.Fn { font-weight: bold; }
var.Fa { color: #703800; }
pre { padding: .7em 1em; overflow-x: auto; line-height: 1.35;
    background: #f3f3ee; tab-size: 8; }
table { border-collapse: collapse; font-size: 94%; }
table.Bl-column { margin: .7em 0; }
.Bl-column td { padding: .12em 1.2em .12em 0; vertical-align: top; }
.Bl-column tr:first-child td { border-bottom: 1px solid #ccc; }
table.head, table.foot { width: 100%; margin: 1em 0; color: #777; }
.head-vol, .foot-date { text-align: center; }
.head-rtitle, .foot-os { text-align: right; }
dt { margin-top: .5em; }
dd { margin-left: 2.2em; }
dd p:first-child { margin-top: 0; }
.Bd-indent { margin-left: 2.2em; }
.names { columns: 16em; font-size: 90%; list-style: none; padding: 0; }
END

for page; do
	file=${page##*/}
	{
		head "${file%.?}(${file##*.})"
		mandoc -Thtml -Ofragment,man=%N.%S.html "$page"
		echo '</body></html>'
	} >"$dir/$file.html"
	case $page in
	*.3) names "$page" | sed "s/$/ $file/" ;;
	esac
done | sort -f >"$dir/names"

{
	head "eddy $version"
	echo "<h1>eddy: $(about man/eddy.7)</h1>"
	echo '<p>Start with <a href="eddy.7.html">eddy(7)</a>.</p>'
	echo '<h1 id="essays">Essays</h1>'
	list man/eddy-*.7
	echo '<h1 id="modules">Modules</h1>'
	list man/eddy-*.3
	echo '<h1 id="names">Names</h1><ul class="names">'
	while read -r name file; do
		echo "<li><a href=\"$name.3.html\"><code>$name</code></a></li>"
	done <"$dir/names"
	echo '</ul></body></html>'
} >"$dir/index.html"

# Links by the name of a function become links into its page.
awk -v others="$OTHERS" -v dir="$dir/" '
FILENAME == dir "names" { page[$1] = $2 ".html"; next }
FNR == 1                { file = substr(FILENAME, length(dir) + 1); exists[file] = 1 }
{
	text[++n] = $0
	from[n] = file
	for (line = $0; match(line, / id="[^"]*"/); line = substr(line, RSTART + RLENGTH))
		exists[file "#" substr(line, RSTART + 5, RLENGTH - 6)] = 1
}
function target(link, file,    part)
{
	if (link ~ /^#/)
		return (file link) in exists ? link : ""
	if (link in exists || link ~ /^https?:/)
		return link
	split(link, part, ".")
	if (part[1] in page) {
		link = page[part[1]]
		return (link "#" part[1]) in exists ? link "#" part[1] : link
	}
	if (link !~ /^eddy/ && part[3] == "html")
		return others "/man" part[2] "/" link
}
END {
	for (i = 1; i <= n; i++) {
		out = ""
		for (line = text[i]; match(line, /href="[^"]*"/);
		    line = substr(line, RSTART + RLENGTH)) {
			link = substr(line, RSTART + 6, RLENGTH - 7)
			to = link == "eddy.css" ? link : target(link, from[i])
			if (to == "") {
				print from[i] ": " link " leads nowhere"
				bad = 1
			}
			out = out substr(line, 1, RSTART + 5) to "\""
		}
		print out line >(dir from[i])
	}
	exit bad
}' "$dir/names" "$dir"/*.html
rm "$dir/names"
echo "$dir/index.html"
