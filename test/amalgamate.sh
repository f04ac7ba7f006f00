#!/bin/sh
# SPDX-License-Identifier: ISC
# Write the library as one eddy.h and one eddy.c, for programs that take it into
# their own tree.  Static functions are bare verbs, which other files or libc have,
# too: each gets the name of its file in front (strand_cancel), and so does any
# other name of file scope that two files have.
# usage: amalgamate.sh OUT_DIR
set -eu

[ $# -eq 1 ] || {
	echo 'usage: amalgamate.sh OUT_DIR' >&2
	exit 2
}
out=$1
version=$(sed -n 's/.define EDDY_VERSION *"\(.*\)"/\1/p' include/eddy/base.h)
mkdir -p "$out"

headers=$(sed -n 's/^#include <\(.*\)>/include\/\1/p' include/eddy.h)
{
	echo '/* SPDX-License-Identifier: ISC */'
	echo "/* eddy $version in two files, eddy.h and eddy.c; see eddy(7). */"
	for header in $headers; do
		echo
		grep -vE 'SPDX|^#include <eddy/' "$header"
	done
} >"$out/eddy.h"

# Private headers stand where they are first included, a list of calls wherever
# it is.
awk -v version="$version" '
function stem(path)
{
	gsub(/.*\/|(_impl)?\.[ch]$/, "", path)
	return path
}

function first(text, pattern)
{
	return match(text, pattern) ? substr(text, RSTART, RLENGTH) : ""
}

# A name of file scope: how many files have it?
function found(name)
{
	if (name != "" && !((FILENAME, name) in has)) {
		has[FILENAME, name] = 1
		files[name]++
	}
}

function find_names(line,    n, part, i)
{
	if (line ~ /^#include "/)
		includes[FILENAME] = includes[FILENAME] " lib/" \
		    first(line, "[a-z_]+\\.h")
	if (line ~ /^static /)
		statics = 1
	else if (line !~ /^[a-z]/)
		statics = 0
	if (line ~ /^#define /)
		found(first(substr(line, 9), "^[A-Za-z_0-9]+"))
	else if (line ~ /^(struct|union|enum) [a-z_0-9]+ \{/) {
		found("struct " $2)
	} else if (FILENAME ~ /\.c$/ && statics && line !~ /;/ &&
	    (i = first(line, "[a-z_0-9]+\\(")) != "")
		own[FILENAME, substr(i, 1, length(i) - 1)] = 1
	else if (line ~ /^static .*[=;]/) {
		sub(/ *(\[[^=;]*\])? *[=;].*/, "", line)
		found(first(line, "[a-z_0-9]+$"))
	}
	if (line ~ /^enum/)
		constants = 1
	if (constants) {
		gsub(/\/\*.*|.*\{|=[^,]*/, "", line)
		n = split(line, part, /[ \t,}]+/)
		for (i = 1; i <= n; i++)
			found(first(part[i], "^[A-Z_0-9]+$"))
		if ($0 ~ /\}/)
			constants = 0
	}
}

# The line with its names replaced; not members, strings or comments.
function rename(line, file,    done, word, from)
{
	if (line ~ /^(struct|union) .*\{/)
		members = 1
	else if (line ~ /^\}/)
		members = 0
	done = ""
	while (line != "") {
		if (comment) {
			word = match(line, /\*\//) ? RSTART + 1 : length(line)
			comment = RSTART == 0
		} else if (match(line, /^\/\*/)) {
			comment = 1
			word = 2
		} else if (match(line, /^"([^"\\]|\\.)*"/) ||
		    match(line, /^[A-Za-z_0-9]+/))
			word = RLENGTH
		else
			word = 1
		from = comment ? "" : origin(substr(line, 1, word), done, file)
		if (from != "")
			done = done stem(from) "_"
		done = done substr(line, 1, word)
		line = substr(line, word + 1)
	}
	return done
}

# The file whose name stands before word, or none.
function origin(word, before, file,    tagged)
{
	sub(/[ \t]+$/, "", before)
	tagged = before ~ /(struct|union|enum)$/
	if (before ~ /(\.|->|struct [a-z_0-9]+,)$/ || (members && !tagged))
		return ""
	if (!tagged && (file, word) in own)
		return file
	if (tagged)
		word = "struct " word
	return files[word] > 1 ? definer(word, file) : ""
}

function definer(word, file,    n, i, part, from)
{
	if ((file, word) in has)
		return file
	n = split(includes[file], part, " ")
	for (i = 1; i <= n && from == ""; i++)
		from = definer(word, part[i])
	return from
}

# Names are those of the file by, which is who includes a list of calls.
function emit(path, by,    line, name)
{
	while ((getline line <path) > 0) {
		if (line ~ /^#include "/) {
			name = first(line, "[a-z_]+\\.h")
			if (name ~ /_calls\.h$/) {
				emit("lib/" name, path)
			} else if (!(name in placed)) {
				placed[name] = 1
				emit("lib/" name, "lib/" name)
			}
		} else if (line !~ /SPDX|^#include <eddy\//) {
			print rename(line, by)
		}
	}
	close(path)
}

FNR == 1 { constants = statics = 0 }
{ find_names($0) }

END {
	print "/* SPDX-License-Identifier: ISC */"
	print "/* eddy " version ", all of lib/; the licence is in README.md. */"
	print "#ifndef _GNU_SOURCE\n#define _GNU_SOURCE\n#endif"
	print "#include \"eddy.h\""
	for (i = 1; i < ARGC; i++)
		if (ARGV[i] ~ /\.c$/) {
			FILENAME = ARGV[i]
			print "\n/* " ARGV[i] " */\n"
			emit(ARGV[i], ARGV[i])
		}
}' lib/*.[ch] >"$out/eddy.c"
