#!/bin/sh
# SPDX-License-Identifier: ISC
# Meet the library as those do who use it: pack it, unpack it, install that into
# a temporary prefix, build programs with it in every way that README.md names,
# read its pages, and take it out again.  A way whose tool is missing is skipped
# by name.  usage: CC=compiler consumer.sh
set -u

CC=${CC:-cc}
MAKE="make -s MAKEFLAGS= MFLAGS="
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
prefix=$tmp/usr
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
version=$(sed -n 's/.define EDDY_VERSION *"\(.*\)"/\1/p' include/eddy/base.h)
failed=0

fail()
{
	echo "FAIL $*"
	sed 's/^/	/' "$tmp/log"
	failed=$((failed + 1))
}

have()
{
	command -v "$1" >/dev/null 2>&1 || {
		echo "skipped: $2, no $1"
		false
	}
}

# usage: way NAME COMMAND...: the command is to succeed.
way()
{
	name=$1
	shift
	if "$@" >"$tmp/log" 2>&1; then
		echo "ok   $name"
	else
		fail "$name"
	fi
}

same() { diff -u "$1" "$2"; }
right() { [ "$("$@")" = "answer 42" ]; }

# The tarball, twice: the second from the first, which has no git.
pack()
{
	make -s dist && mkdir "$tmp/src" &&
	    tar -xzf "build/eddy-$version.tar.gz" -C "$tmp/src" &&
	    cd "$tmp/src/eddy-$version" && touch README.md && make -s dist &&
	    cmp "$OLDPWD/build/eddy-$version.tar.gz" "build/eddy-$version.tar.gz"
}

# The same files below DESTDIR, and nothing in them that names it.
stage()
{
	$MAKE install DESTDIR="$tmp/stage" PREFIX=/opt/eddy &&
	    (cd "$tmp/stage/opt/eddy" && find . | sort) >"$tmp/staged" &&
	    (cd "$prefix" && find . | sort) | same - "$tmp/staged" &&
	    ! grep -r --exclude=*.a "$tmp" "$tmp/stage" &&
	    pkg-config --define-variable=prefix=/x --cflags eddy |
	    grep -qx -e '-I/x/include *'
}

# Task, thread and process, once around.
programs()
{
	cat >"$tmp/answer.c" <<-'END'
	#include <eddy.h>

	struct answer {
		struct eddy_task task;
		struct eddy_executor *pool;
		int n;
	};

	static int add(void *arg)
	{
		*(int *)arg += 21;
		return 0;
	}

	static eddy_step answer(struct eddy_task *self)
	{
		EDDY_BEGIN(self, struct answer, f);
		EDDY_TRY(eddy_complete(self,
		    eddy_process_pool_open(&f->pool, self->loop, NULL)));
		EDDY_TRY(eddy_offload(self, f->pool, add, &f->n));
		EDDY_TRY(eddy_offload(self, NULL, add, &f->n));
		EDDY_RETURN(f->n);
		EDDY_FINALLY;
		if (f->pool != NULL)
			eddy_executor_close(f->pool, EDDY_S(1));
		EDDY_END;
	}

	int the_answer(void);
	int the_answer(void)
	{
		struct answer f;

		return eddy_run(EDDY_INIT(&f, answer));
	}
	END
	cat >"$tmp/main.c" <<-'END'
	#include <stdio.h>

	int the_answer(void);
	int main(void)
	{
		return printf("answer %d\n", the_answer()) < 0;
	}
	END
	cat >"$tmp/CMakeLists.txt" <<-'END'
	cmake_minimum_required(VERSION 3.13)
	project(consumer C)
	find_package(PkgConfig REQUIRED)
	pkg_check_modules(EDDY REQUIRED IMPORTED_TARGET eddy)
	add_executable(app main.c answer.c)
	target_link_libraries(app PRIVATE PkgConfig::EDDY)
	END
	cat >"$tmp/meson.build" <<-'END'
	project('consumer', 'c')
	executable('app', 'main.c', 'answer.c', dependencies: dependency('eddy'))
	END
}

# usage: with_cc COMPILER FLAGS...: those of pkg-config come behind.
with_cc()
{
	"$@" -Wall -Wextra -Werror "$tmp/main.c" "$tmp/answer.c" -o "$tmp/app" \
	    $(pkg-config --cflags --libs $static eddy) && right "$tmp/app"
}

# A shared object exports what it wants to, and nothing of the library.
with_shared_object()
{
	$CC -fPIC -shared "$tmp/answer.c" -o "$tmp/libanswer.so" -Wl,-z,text \
	    -Wl,--no-undefined "$@" $(pkg-config --cflags --libs eddy) &&
	    [ "$(nm -D --defined-only "$tmp/libanswer.so" |
		awk '$2 == "T" { print $3 }')" = the_answer ] &&
	    $CC "$tmp/main.c" -o "$tmp/app" -L"$tmp" -lanswer \
		-Wl,-rpath,"$tmp" && right "$tmp/app"
}

with_cmake()
{
	cmake -S "$tmp" -B "$tmp/cmake" && cmake --build "$tmp/cmake" &&
	    right "$tmp/cmake/app"
}

with_meson()
{
	meson setup "$tmp/meson" "$tmp" && ninja -C "$tmp/meson" &&
	    right "$tmp/meson/app"
}

with_amalgamation()
{
	$MAKE amalgamation && $CC -O2 -Wall -Wextra -Werror -Ibuild \
	    "$tmp/main.c" "$tmp/answer.c" build/eddy.c -pthread -o "$tmp/app" &&
	    right "$tmp/app"
}

with_musl()
{
	$MAKE CC=musl-gcc install PREFIX="$prefix" &&
	    with_cc musl-gcc -static
}

# Each name of each page is found, by man and by apropos.
read_pages()
{
	mandb -q -c "$1" && apropos -M "$1" eddy >"$tmp/apropos" || return
	for page in $(awk '/^\.Sh /{ on = $2 == "NAME" } on && $1 == ".Nm" { print $2 }' \
	    man/*.[37]); do
		grep -q "^$page (" "$tmp/apropos" || {
			echo "apropos does not know $page"
			return 1
		}
	done
	[ "$(man -M "$1" -w 3 eddy_timer_start)" = "$1/man3/eddy-timer.3" ]
}

gone()
{
	$MAKE uninstall PREFIX="$prefix" && ! find "$prefix" ! -type d \
	    ! -path '*/cat*' ! -name index.db ! -name CACHEDIR.TAG | grep .
}

way "make dist: the same bytes twice" pack
cd "$tmp/src/eddy-$version" || exit 1
way "make install" $MAKE CC="$CC" install PREFIX="$prefix"
way "make install, DESTDIR" stage
programs
static=
way "cc" with_cc $CC
way "cc, in C99" with_cc $CC -std=gnu99
static=--static
way "cc, static" with_cc $CC -static
way "cc, static, no dead code" with_cc $CC -static -Os -Wl,--gc-sections
static=
way "cc, shared object" with_shared_object
way "cc, shared object, exclude-libs" with_shared_object \
    -Wl,--exclude-libs,libeddy.a
way "cc, the amalgamation" with_amalgamation
! have cmake CMake || way "CMake" with_cmake
! have meson Meson || way "Meson" with_meson
! have mandb "apropos" || way "man and apropos" read_pages "$prefix/share/man"
static=--static
! have musl-gcc "musl" || way "musl, static" with_musl
way "make uninstall" gone

echo "consumer: $failed failed"
[ "$failed" -eq 0 ]
