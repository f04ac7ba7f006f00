# SPDX-License-Identifier: ISC
# Do the pages of section 3 say what the headers say, and the other way round?
# Prints each name that is missing, left over or different on one side, each
# section that a page lacks and each link between pages that leads nowhere.  Fields
# are public unless the comment at them, or the one before their struct, says
# private; "private but a, b" excepts some.
# usage: awk -f names.awk include/eddy/*.h man/*.[37]

function complain(text)
{
	print FILENAME ":" FNR ": " text
}

# One spelling for what may be wrapped and spaced in many ways.
function plain(text)
{
	gsub(/[ \t]+/, " ", text)
	gsub(/^ | $|"/, "", text)
	gsub(/ ?\* ?/, "*", text)
	gsub(/ ?\( ?/, "(", text)
	gsub(/ ?\) ?/, ")", text)
	gsub(/ ?, ?/, ", ", text)
	gsub(/\\&|\\\(dq/, "", text)
	sub(/^static inline EDDY_ASYNC/, "eddy_async", text)
	gsub(/EDDY_ASYNC|__attribute__\(\([a-z_]*\)\)/, "eddy_async", text)
	return text
}

# What a name is: a prototype, macro arguments or a value, as header or page say.
function declare(name, what,    side)
{
	side = FILENAME ~ /\.h$/ ? "header" : "page"
	known[name] = 1
	if (side == "header") {
		header[name] = what
		where[name] = FILENAME
	} else if (!(name in header)) {
		complain(name " is in no header")
	} else {
		on_page[name] = 1
		if (header[name] != "" && header[name] != what &&
		    !index(header[name], "..."))
			complain(name ": " what "\n\theader: " header[name])
	}
}

function split_call(text,    name)
{
	name = text
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
	if (name != "" && name !~ /_$/)
		declare(name, text)
}

# Headers.

FNR == 1 {
	comment = last = text = struct = section = ""
	depth = rest = 0
	if (FILENAME ~ /\.h$/) {
		page = FILENAME
		gsub(/.*\/|\.h$/, "", page)
		gsub(/_/, "-", page)
		page = "man/eddy-" page ".3"
	}
}

FILENAME ~ /\.h$/ && /^#define/ && !/\\$/ && !/_H$/ && !/^#define [A-Za-z_0-9]*_[ (]/ {
	name = $2
	sub(/\(.*/, "", name)
	value = $3
	if ($2 ~ /\(/) {
		value = $0
		sub(/\).*/, ")", value)
		sub(/#define */, "", value)
	}
	if (!(name in header))
		declare(name, plain(value))
	next
}

FILENAME ~ /\.h$/ && /^#define [A-Za-z_0-9]*[a-zA-Z]\(.*\\$/ {
	value = $0
	sub(/\).*/, ")", value)
	sub(/#define */, "", value)
	name = value
	sub(/\(.*/, "", name)
	declare(name, plain(value))
}

FILENAME ~ /\.h$/ && (/\\$/ || continued) {
	continued = /\\$/
	next
}

FILENAME ~ /\.h$/ && /^[{}]$/ { # of an inline function
	body = /\{/
	text = ""
}

FILENAME ~ /\.h$/ && !body {
	line = $0
	here = ""
	while (line != "") {
		if (comment != "") {
			n = index(line, "*/")
			comment = comment " " (n ? substr(line, 1, n - 1) : line)
			line = n ? substr(line, n + 2) : ""
			if (n) {
				last = here = comment
				comment = ""
			}
		} else if (n = index(line, "/*")) {
			text = text " " substr(line, 1, n - 1)
			line = substr(line, n + 2)
			comment = " "
		} else {
			text = text " " line
			line = ""
		}
	}
	if (comment == "")
		take()
}

function take(    stripped)
{
	stripped = plain(text)
	if (stripped ~ /^#|^EDDY_HEADER/ || stripped == "") {
		text = ""
		return
	}
	if (struct == "" && stripped ~ /^(struct|enum) eddy_[a-z_]+ \{$/) {
		struct = stripped
		gsub(/^(struct|enum) | \{$/, "", struct)
		known[struct] = 1
		is_enum = stripped ~ /^enum/
		of = last
		rest = of ~ /rivate/ && of !~ /rivate:/
		text = last = ""
	} else if (struct != "" && is_enum) {
		if (stripped ~ /^\}/)
			struct = ""
		while (match(stripped, /EDDY_[A-Z_]+/)) {
			declare(name = substr(stripped, RSTART, RLENGTH), "")
			public[++publics] = struct "." name
			home[publics] = page
			stripped = substr(stripped, RSTART + RLENGTH)
		}
		text = ""
	} else if (struct != "") {
		if (stripped ~ /\{$/)
			depth++
		else if (stripped ~ /^\}.*;$/ && depth-- == 0) {
			gsub(/[^a-z_]/, "", stripped)
			known[stripped] = 1
			struct = ""
			depth = 0
		}
		if (stripped ~ /;$/) {
			if (struct != "" && depth == 0)
				field(stripped)
			last = ""
		}
		if (stripped ~ /[;{]$/)
			text = ""
	} else if (stripped ~ /;$/) {
		sub(/;$/, "", stripped)
		if (stripped ~ /^typedef .*\(/ ||
		    (stripped ~ /\(/ && stripped !~ /^(static|return|typedef)/))
			split_call(stripped)
		else if (stripped ~ /^struct [a-z_]+$/)
			known[substr(stripped, 8)] = 1
		text = last = ""
	} else if (stripped ~ /^typedef struct \{$/) {
		struct = "typedef"
		rest = 1
		of = text = last = ""
	} else if (stripped ~ /^static|^\{|^\}/)
		text = ""
}

# Fields of one declaration; private ones are nobody's business.
function field(decl,    n, i, part, name)
{
	if (last ~ /as all that follows/)
		rest = 1
	sub(/;$/, "", decl)
	sub(/^\} ?/, "x ", decl)
	if (match(decl, /\(\*[a-z_]+\)/))
		part[n = 1] = substr(decl, RSTART + 2, RLENGTH - 3)
	else
		n = split(decl, part, ",")
	for (i = 1; i <= n; i++) {
		name = part[i]
		sub(/\[.*/, "", name)
		sub(/.*[ *]/, "", name)
		if (last !~ /rivate/ &&
		    (!rest || match(of, "rivate but [^.]*" name "[,. ]"))) {
			public[++publics] = struct "." name
			home[publics] = page
		}
	}
}

# Pages.

/^\.S[sh] / {
	section = substr($0, 5)
	if (FILENAME ~ /\.3$/ && index(wanted, section ";"))
		order[FILENAME] = order[FILENAME] section ";"
}

BEGIN {
	wanted = "NAME;SYNOPSIS;DESCRIPTION;Ownership;Context;Complexity;" \
	    "RETURN VALUES;EXAMPLES;ERRORS;SEE ALSO;HISTORY;CAVEATS;"
}

section == "Context" && $1 == ".It" {
	for (i = 2; i <= NF; i++)
		in_context[$i] = 1
}

function words(line,    n, i, part)
{
	n = split(line, part, /[^A-Za-z_0-9]+/)
	for (i = 1; i <= n; i++)
		said[FILENAME, part[i]] = 1
}

/^\.(Fa|Fn|It|Po|Pq|Ft|Fo|Dv)/ { words($0) }

section == "NAME" && $1 == ".Nm" && FILENAME ~ /\.3$/ {
	named[$2] = FILENAME
}

section == "SYNOPSIS" && FILENAME ~ /\.3$/ {
	if ($1 == ".Ft")
		result = plain(substr($0, 5))
	else if ($1 == ".Fo") {
		call = $2
		args = ""
	} else if ($1 == ".Fa" && call != "")
		args = args ", " substr($0, 5)
	else if ($1 == ".Fc" || $1 == ".Fn") {
		if ($1 == ".Fn") {
			call = $2
			args = arguments($0)
		}
		signature(call, substr(args, 3))
		call = result = ""
	} else if ($1 == ".Fd" && $2 == "#define")
		declare($3, plain($4))
	else if ($1 == ".Fd") {
		sub(/;$/, "", $2)
		declare($2, header[$2])
	}
}

function arguments(line,    out, word)
{
	sub(/^\.Fn [^ ]+ */, "", line)
	while (line != "") {
		if (match(line, /^"[^"]*"/) || match(line, /^[^ ]+/)) {
			word = substr(line, RSTART, RLENGTH)
			line = substr(line, RLENGTH + 1)
			out = out ", " word
		}
		sub(/^ +/, "", line)
	}
	return out
}

# A macro has no types in its header, so only the names of its arguments count.
function signature(name, args,    n, i, part)
{
	args = plain(args)
	if (name in header && header[name] ~ "^" name "\\(") {
		n = split(args, part, ", ")
		args = ""
		for (i = 1; i <= n; i++) {
			sub(/\)\(.*/, "", part[i])
			sub(/.*[ *]/, "", part[i])
			args = args (i > 1 ? ", " : "") part[i]
		}
		declare(name, name "(" args ")")
	} else
		declare(name, plain(result " " name "(" args ")"))
}

# What the text of any page calls ours has to be ours.
/^\./ && !/^\.(Bd|Sh|Dt|Nd|Bl|\\")/ && section != "EXAMPLES" {
	line = $0
	while (match(line, /(eddy|EDDY)_[A-Za-z_0-9]*/)) {
		if (substr(line, RSTART + RLENGTH - 1, 1) != "_")
			used[substr(line, RSTART, RLENGTH)] = FILENAME ":" FNR
		line = substr(line, RSTART + RLENGTH)
	}
}

$1 == ".Xr" || / Xr eddy/ {
	line = $0
	while (match(line, /Xr (eddy|EDDY)[^ ]* [0-9]/)) {
		split(substr(line, RSTART, RLENGTH), part, " ")
		linked[part[2], part[3]] = FILENAME ":" FNR
		if (FILENAME ~ /eddy\.7$/)
			mapped[part[2], part[3]] = 1
		line = substr(line, RSTART + RLENGTH)
	}
}

$1 == ".Dd" {
	date = substr($0, 5)
	if (date !~ /^(January|February|March|April|May|June|July|August|September|October|November|December) [1-9][0-9]?, 20[0-9][0-9]$/)
		complain("date of another form")
}

section == "ERRORS" && $1 == ".Bl" { error = "" }
section == "ERRORS" && /^\.It Bq Er/ {
	if ($4 <= error)
		complain($4 " after " error)
	error = $4
}

$1 == ".Dt" {
	name = FILENAME
	gsub(/.*\/|\.[37]$/, "", name)
	if ($2 != toupper(name) || $3 != substr(FILENAME, length(FILENAME)))
		complain("title of another page")
	pages[name, $3] = 1
}

END {
	for (name in header)
		if (header[name] != "" && !(name in on_page))
			print where[name] ": " name " is in no SYNOPSIS"
	for (name in named)
		if (!(name in on_page))
			print named[name] ": " name " is not in SYNOPSIS"
	for (name in on_page)
		if (!(name in named) && header[name] !~ /^typedef/)
			print where[name] ": " name " is in no NAME"
	# Operations are awaited: they have one rule for all.
	for (name in named)
		if (name !~ /^EDDY/ && header[name] !~ /^eddy_async/ &&
		    !(name in in_context))
			print named[name] ": " name " is not in Context"
	for (name in order)
		if (order[name] != wanted)
			print name ": sections " order[name] "\n\tbut " wanted
	for (i = 1; i <= publics; i++) {
		split(public[i], part, ".")
		if (!((home[i], part[2]) in said))
			print home[i] ": " public[i] " is not there"
	}
	for (name in used)
		if (!(name in known))
			print used[name] ": there is no " name
	for (key in pages) {
		split(key, part, SUBSEP)
		if (part[1] != "eddy" && !((part[1], part[2]) in mapped))
			print "man/eddy.7: " part[1] "(" part[2] ") is not there"
	}
	for (key in linked) {
		split(key, part, SUBSEP)
		if (!(key in pages) && !(part[2] == 3 && part[1] in named))
			print linked[key] ": no page " part[1] "(" part[2] ")"
	}
}
