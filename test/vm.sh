#!/bin/sh
# SPDX-License-Identifier: ISC
# The tests on another kernel, such as the oldest that eddy supports: static
# programs in an initramfs that qemu boots.  usage: vm.sh VMLINUZ [SUITE...]
set -eu

kernel=${1:-}
[ $# -eq 0 ] || shift
[ -r "$kernel" ] || { echo "vm: skipped, no kernel (KERNEL=vmlinuz)"; exit 0; }
for tool in busybox qemu-system-x86_64; do
	command -v $tool >/dev/null || { echo "vm: skipped, no $tool"; exit 0; }
done
# blocking asks for names that its C library would load more to resolve.
suites=${*:-batch child clock door edges embed executor io kernels loop offload
    post process_pool rules run_on signal strand sync task thread_pool timer
    transform watch zygote}

b=build/static
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for suite in $suites; do
	make -s B=$b LDFLAGS=-static $b/check_"$suite" 2>/dev/null
	cp $b/check_"$suite" "$root/bin"
done
cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
ip link set lo up
export CK_TIMEOUT_MULTIPLIER=20
echo "vm: \$(uname -sr)"
for suite in $(echo $suites); do
	check_\$suite 2>&1
	echo "vm: \$suite: exit \$?"
done
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc | gzip) >build/vm.img
qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 2048 -cpu max -nographic \
    -no-reboot -kernel "$kernel" -initrd build/vm.img \
    -append 'console=ttyS0 quiet panic=-1' </dev/null | stdbuf -oL tr -d '\r' >build/vm.log
grep -aoE 'vm: .*|.*Checks: .*|^test/.*' build/vm.log
! grep -qaE 'vm: .*: exit [^0]' build/vm.log
