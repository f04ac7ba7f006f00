#!/bin/sh
# SPDX-License-Identifier: ISC
# The tests on another kernel, such as the oldest that eddy supports: the suites
# of make check, with their libraries, in an initramfs that qemu boots.
# usage: vm.sh BUILD_DIR VMLINUZ [SUITE...]
# A line for each suite when it ends; the last of all is their sum.
set -eu

b=$1
kernel=${2:-}
shift $(($# < 2 ? $# : 2))
[ -r "$kernel" ] || { echo "vm: skipped, no kernel (KERNEL=vmlinuz)"; exit 0; }
for tool in busybox qemu-system-x86_64; do
	command -v $tool >/dev/null || { echo "vm: skipped, no $tool"; exit 0; }
done

# Left out, and why:
#   cluster: needs a Gearman server
#   misuse: asks compilers, not the kernel
#   door, schedules, simulate: bring threads and a kernel of their own
skip='cluster door misuse schedules simulate'
suites=$(ls test/check_*.c | sed 's/.*check_\(.*\)\.c/\1/')
for suite in $skip; do
	suites=$(echo "$suites" | grep -vx "$suite")
done
suites=${*:-$suites}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root" # it becomes /, for those who are not root, too
mkdir "$root/bin" "$root/dev" "$root/etc" "$root/proc" "$root/sys" \
    "$root/test" "$root/tmp"
cp -r test/fuzz "$root/test"
cp "$(command -v busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
echo 'hosts: files' >"$root/etc/nsswitch.conf"
locale=/usr/lib/locale/C.utf8 # which a test sets
if [ -d $locale ]; then
	mkdir -p "$root/usr/lib/locale"
	cp -r $locale "$root/usr/lib/locale"
fi

# put PROGRAM: without its debug information, and what it is linked with.
put()
{
	strip -g -o "$root/bin/$(basename "$1")" "$1"
	{ ldd "$1" || :; } 2>/dev/null | grep -o '/[^ ]*' |
	while read -r so; do
		mkdir -p "$root$(dirname "$so")"
		cp "$so" "$root$so"
	done
}

programs=
for suite in $suites; do
	programs="$programs $b/check_$suite"
	[ "$suite" != server ] || programs="$programs $b/server"
done
make -s B="$b" $programs
for program in $programs; do
	put "$program"
done
gcc_s=$(cc -print-file-name=libgcc_s.so.1) # threads that exit load it
mkdir -p "$root/lib64"
[ ! -r "$gcc_s" ] || cp "$gcc_s" "$root/lib64"

cat >"$root/init" <<END
#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=1777 tmp /tmp
ip link set lo up
export CK_TIMEOUT_MULTIPLIER=20
echo; echo "vm: kernel \$(uname -r)"
for suite in $(echo $suites); do
	read -r began rest </proc/uptime
	timeout -s KILL 1800 check_\$suite 2>&1
	code=\$?
	kill -KILL -1
	read -r ended rest </proc/uptime
	echo "vm: \$suite: exit \$code, \$((\${ended%.*} - \${began%.*})) s"
done
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc | gzip -1) >"$b/vm.img"

# What the machine says becomes a line for each suite, and what failed in it; a
# suite that is not there in the end has failed.
sum_up()
{
	release='' done=0 n=0 f=0 checks=0 failed=0
	while IFS= read -r line; do
		case $line in
		'vm: kernel '*) release=${line##* } ;;
		test/*:[0-9]*:[FE]:* | *skipped* | *'ernel panic'*)
			echo "    $line" ;;
		[0-9]*%:\ Checks:\ *)
			set -- $line
			n=${3%,} f=$((${5%,} + $7)) ;;
		'vm: '*': exit '*)
			set -- $line
			[ "$4" = 0, ] || [ "$f" -gt 0 ] || f=1
			echo "vm $2 $n checks, $f failed, exit $4 $5 s"
			done=$((done + 1)) checks=$((checks + n))
			failed=$((failed + f)) n=0 f=0 ;;
		esac
	done
	failed=$((failed + $(echo $suites | wc -w) - done))
	echo "vm: kernel=$release suites=$done checks=$checks failed=$failed"
	[ $failed -eq 0 ]
}

qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 2048 -cpu max -nographic \
    -no-reboot -kernel "$kernel" -initrd "$b/vm.img" \
    -append 'console=ttyS0 quiet panic=-1 no_timer_check' </dev/null 2>&1 |
	stdbuf -oL tr -d '\r' | tee "$b/vm.log" | sum_up
