"""A virtual machine that sees this machine's files, for what a test must not do to its own: step the clock, mount
file systems and count quotas that this kernel does not have.

It runs Debian's kernel under QEMU. Its root is this machine's, read through 9p, under a disk of its own that takes
all changes and goes with it.
"""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from lab import REPO, Failure, need_tools, say

# In the order in which they need each other.
MODULES = ["virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_rng", "virtio_console", "crc32c_generic",
           "ext4", "overlay", "9pnet", "9pnet_virtio", "9p", "loop", "vfat", "nls_cp437", "nls_ascii", "quota_v2", "fuse"]

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
echo 1 > /proc/sys/kernel/printk
for module in {modules}; do modprobe $module || echo "no module $module"; done
mkdir -p /host /disk /root
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /host
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /disk
mkdir /disk/upper /disk/work /disk/tmp
chmod 1777 /disk/tmp
mount -t overlay -o lowerdir=/host,upperdir=/disk/upper,workdir=/disk/work overlay /root
mkdir -p /root/disk /root/lib/modules
mount --bind /disk /root/disk
cp -a /lib/modules/* /root/lib/modules/
for name in dev proc sys; do mount --move /$name /root/$name; done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts; mount -t tmpfs shm /root/dev/shm; mount -t cgroup2 cgroup /root/sys/fs/cgroup
ip link set lo up
exec switch_root /root /bin/busybox sh -c {last}
"""

# What the first process becomes; its root must be a real one, or there are no user namespaces.
LAST = """
sh -c {command}
status=$?
set -- /dev/vport*p1
echo "status=$status" > $1
sync
/bin/busybox poweroff -f
"""


def kernel():
    """A kernel of Debian's with its modules: this machine's own, or one that is fetched and kept with the build."""
    kept = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")) / "machine"
    for place in (Path("/"), kept):
        for image in sorted((place / "boot").glob("vmlinuz-*-amd64"), reverse=True):
            modules = place / "lib/modules" / image.name.removeprefix("vmlinuz-")
            if modules.is_dir():
                return image, modules
    say("fetching a kernel for the virtual machine")
    kept.mkdir(parents=True, exist_ok=True)
    depends = subprocess.run(["apt-cache", "depends", "--important", "linux-image-amd64"], capture_output=True, text=True)
    names = [line.split()[-1] for line in depends.stdout.splitlines() if "Depends: linux-image-" in line]
    if not names or subprocess.run(["apt-get", "-q", "download", names[0]], cwd=kept, capture_output=True).returncode:
        raise Failure("no kernel for the virtual machine: apt-get download linux-image-amd64 failed")
    for package in kept.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, kept], check=True)
        package.unlink()
    image, modules = kernel()
    subprocess.run(["depmod", "-b", kept, modules.name], stderr=subprocess.DEVNULL, check=True)
    return image, modules


def first_disk(folder, image, modules, command):
    """What the kernel starts: busybox, the modules named above, and a script."""
    root = folder / "first"
    for name in ("bin", "dev", "proc", "sys"):
        (root / name).mkdir(parents=True)
    (root / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
    os.chmod(root / "bin/busybox", 0o755)
    within = root / "lib/modules" / modules.name
    within.mkdir(parents=True)
    for name in MODULES:
        shown = subprocess.run(["modprobe", "-d", modules.parents[2], "-S", modules.name, "--show-depends", name],
                               capture_output=True, text=True)
        for line in shown.stdout.splitlines():
            if line.startswith("insmod "):
                source = Path(line.split()[1])
                target = within / source.name
                target.write_bytes(source.read_bytes())
    subprocess.run(["depmod", "-b", root, modules.name], stderr=subprocess.DEVNULL, check=True)
    init = root / "init"
    init.write_text(INIT.format(modules=" ".join(MODULES), last=shlex.quote(LAST.format(command=shlex.quote(command)))))
    init.chmod(0o755)
    archive = folder / "first.cpio"
    with open(archive, "wb") as out:
        names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
        subprocess.run(["/bin/busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names, stdout=out,
                       stderr=subprocess.DEVNULL, check=True)
    return archive


def run(words, env):
    """Runs a command in there, with what it prints on our output; gives its status."""
    need_tools(["qemu-system-x86_64", "busybox", "mkfs.ext4", "depmod"])
    image, modules = kernel()
    with tempfile.TemporaryDirectory(prefix="machine-") as folder:
        folder = Path(folder)
        sets = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
        command = f"cd {shlex.quote(os.getcwd())} && exec env -i TMPDIR=/disk/tmp {sets} {shlex.join(map(str, words))}"
        archive = first_disk(folder, image, modules, command)
        disk, said = folder / "disk", folder / "status"
        with open(disk, "wb") as file:
            file.truncate(16 << 30)
        subprocess.run(["mkfs.ext4", "-q", disk], check=True)
        # Without hardware's help: that works everywhere, and a start takes ten seconds.
        subprocess.run([
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(os.cpu_count()), "-m", "4G", "-nodefaults",
            "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", image, "-initrd", archive,
            "-append", "console=ttyS0 quiet panic=-1",
            "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
            "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-serial-pci", "-chardev", f"file,id=status,path={said}",
            "-device", "virtserialport,chardev=status", "-device", "virtio-rng-pci",
        ], stdin=subprocess.DEVNULL, check=True)
        text = said.read_text().strip()
        if not text.startswith("status="):
            raise Failure("the virtual machine ended early")
        return int(text.removeprefix("status="))
