#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""rules.py: udev's own engine with the rules of this tree, on trees of devices as in /sys: who may open what, and by which names.

Nothing of this machine is looked at or changed: /sys, /dev, /run and the rules are those of a mount namespace of its own. Needs
root and udevadm; where it cannot run it says why in its last line and exits 77.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TREE = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
SYSTEM = next((d for d in ("/usr/lib/udev/rules.d", "/lib/udev/rules.d") if os.path.isdir(d)), "")
CAN_FILES = "/etc/tidegate/can"     # in the rules; here they are looked for elsewhere
OURS = ("60-tidegate.rules", "81-tidegate-can.rules")
GROUPS = {"tss": 60001, "dialout": 60002, "i2c": 60003, "spi": 60004, "gpio": 60005}
# What Raspberry Pi OS sets behind us, in the same places (raspberrypi-sys-mods).
RASPBERRY = """SUBSYSTEM=="i2c-dev", GROUP="i2c", MODE="0660"
SUBSYSTEM=="spidev", GROUP="spi", MODE="0660"
SUBSYSTEM=="gpio", GROUP="gpio", MODE="0660"
"""
USB_HUB = "platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/usb1/1-1"
USB_PATH = "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:"


class Tree:
    """A /sys, and the /dev of what is in it."""

    def __init__(self, root):
        self.sys, self.dev = root + "/sys", root + "/dev"

    def device(self, path, subsystem="", uevent="", **attributes):
        """@path below /sys/devices, with its parents; @subsystem: bus/NAME or class/NAME."""
        directory = f"{self.sys}/devices/{path}"
        os.makedirs(directory, exist_ok=True)
        if subsystem:
            os.makedirs(f"{self.sys}/{subsystem}", exist_ok=True)
            if not os.path.lexists(directory + "/subsystem"):
                os.symlink(f"/sys/{subsystem}", directory + "/subsystem")
        for name, value in {"uevent": uevent, **attributes}.items():
            with open(f"{directory}/{name}", "w", encoding="ascii") as file:
                file.write(value + ("\n" if value else ""))
        return path

    def node(self, path, subsystem, major, minor, **attributes):
        """A device with a file in /dev, root's alone, as the kernel makes it."""
        name = os.path.basename(path)
        self.device(path, subsystem, f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}", **attributes)
        os.mknod(f"{self.dev}/{name}", 0o600 | 0o020000, os.makedev(major, minor))
        return path

    def controller(self, path, bus="bus/platform"):
        """With the parents that udev would meet on the way up."""
        return self.device(path, bus, "DRIVER=x")

    def usb(self, port, interface="00", **attributes):
        """An interface of a device in a port of the hub, "3" or "1.3". Returns its path."""
        self.device("platform/scb/fd500000.pcie", "bus/platform")
        for part in ("pci0000:00", "pci0000:00/0000:00:00.0", "pci0000:00/0000:00:00.0/0000:01:00.0"):
            self.device("platform/scb/fd500000.pcie/" + part, "bus/pci" if "/" in part else "")
        root, path = USB_HUB.rsplit("/", 1)[0], USB_HUB
        self.device(root, "bus/usb", "DEVTYPE=usb_device", devnum="1", busnum="1")
        self.device(path, "bus/usb", "DEVTYPE=usb_device", devnum="2", busnum="1")
        for step in port.split("."):
            path += "/" + os.path.basename(path) + "." + step
        self.device(path, "bus/usb", "DEVTYPE=usb_device", idVendor="0403", idProduct="6001", bDeviceClass="00", devnum="7",
                    busnum="1", bcdDevice="0600", product="USB RS485", manufacturer="Maker", **attributes)
        return self.device(f"{path}/{os.path.basename(path)}:1.{int(interface)}", "bus/usb", "DEVTYPE=usb_interface",
                           bInterfaceNumber=interface, bInterfaceClass="ff", bInterfaceSubClass="ff", bInterfaceProtocol="ff")

    def usb_tty(self, number, port, interface="00", of_adapter="0", **attributes):
        """ttyUSBn behind it."""
        adapter = self.device(f"{self.usb(port, interface, **attributes)}/ttyUSB{number}", "bus/usb-serial", port_number=of_adapter)
        return self.node(f"{adapter}/tty/ttyUSB{number}", "class/tty", 188, number)


class Rules(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="tg-rules-")
        self.addCleanup(shutil.rmtree, self.root)
        for name in ("sys/bus", "sys/class", "dev", "rules"):
            os.makedirs(f"{self.root}/{name}")
        for name in OURS:
            with open(f"{TREE}/udev/{name}", encoding="ascii") as file:
                self.write("rules/" + name, file.read().replace(CAN_FILES, self.root))
        for name in ("60-serial.rules", "60-tpm-udev.rules"):
            if os.path.exists(f"{SYSTEM}/{name}"):
                shutil.copy(f"{SYSTEM}/{name}", self.root + "/rules")
        self.write("rules/50-tty.rules", 'SUBSYSTEM=="tty", KERNEL=="tty[A-Z]*[0-9]", GROUP="dialout"\n')    # 50-udev-default's
        os.mknod(self.root + "/dev/null", 0o666 | 0o020000, os.makedev(1, 3))    # for the programs of rules
        self.write("group", "root:x:0:\n" + "".join(f"{name}:x:{gid}:\n" for name, gid in GROUPS.items()))
        self.tree = Tree(self.root)
        self.priorities = {}

    def write(self, name, text):
        with open(f"{self.root}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def events(self, *paths):
        """Adds the devices one after the other. Returns their properties and the links in /dev/tidegate."""
        script = ("set -e; mount --bind $0/group /etc/group; mount --bind $0/rules $1; mount --bind $0/sys /sys; "
                  "mount --bind $0/dev /dev; mount -t tmpfs none /run; mkdir /run/udev; shift 1; "
                  "for path; do udevadm test --action=add /sys/devices/$path; echo; done")
        run = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, self.root, SYSTEM, *paths],
                             env={**os.environ, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"}, capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        parts = [part for part in run.stdout.split("\n\n") if "DEVPATH=" in part]
        properties = [dict(line.strip().split("=", 1) for line in part.splitlines() if "=" in line) for part in parts]
        self.assertEqual(len(properties), len(paths), run.stdout + run.stderr)
        for part, found in zip(parts, properties):
            self.carry_out(part, found)
        return properties

    def carry_out(self, said, found):
        """Since 256 udevadm only tells what the rules ask for, and udevd alone does it. As udevd would, in our /dev."""
        told = dict(re.findall(r"(?m)^(?:Device node )?(\w+):(.*\n(?:  .*\n?)*)", said))
        if "Properties" not in told or "DEVNAME" not in found:
            return
        node = self.tree.dev + "/" + os.path.basename(found["DEVNAME"])
        group = re.search(r"\(gid=([0-9]+)\)", told.get("group", ""))
        mode = told.get("permission", " 0660" if group else " 0600").split()
        os.chown(node, 0, int(group[1]) if group else 0)
        os.chmod(node, int(mode[0], 8))
        priority = int((re.search(r"priority=(-?[0-9]+)", told.get("symlinks", "")) or [0, 0])[1])
        for name in found.get("DEVLINKS", "").split():
            self.assertTrue(name.startswith("/dev/") and os.path.normpath(name) == name, name)
            link = self.tree.dev + name[len("/dev"):]
            if os.path.lexists(link):
                # It is left to who has the higher priority, and to the one that comes later.
                if self.priorities[name] > priority:
                    continue
                os.unlink(link)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(node, link)
            self.priorities[name] = priority

    def links(self):
        directory = self.tree.dev + "/tidegate"
        return {name: os.path.basename(os.readlink(f"{directory}/{name}"))
                for name in (os.listdir(directory) if os.path.isdir(directory) else [])}

    def belongs(self, name):
        """Group and mode of a device."""
        st = os.stat(f"{self.tree.dev}/{name}")
        return next((g for g, gid in GROUPS.items() if gid == st.st_gid), str(st.st_gid)), st.st_mode & 0o777

    # --- what is there ---------------------------------------------------------------------------------------------------

    def board(self):
        """The header of a Raspberry Pi 4."""
        t = self.tree
        soc = "platform/soc/"
        i2c = t.device(t.controller(soc + "fe804000.i2c") + "/i2c-1", "bus/i2c")
        spi = t.device(t.controller(soc + "fe204000.spi") + "/spi_master/spi0", "class/spi_master")
        return [t.node(i2c + "/i2c-dev/i2c-1", "class/i2c-dev", 89, 1, name="bcm2835 (i2c@7e804000)"),
                t.node(t.device(spi + "/spi0.0", "bus/spi") + "/spidev/spidev0.0", "class/spidev", 153, 0),
                t.node(t.controller(soc + "fe200000.gpio") + "/gpiochip0", "bus/gpio", 254, 0),
                t.node(t.device(spi + "/spi0.1", "bus/spi") + "/tpmrm/tpmrm0", "class/tpmrm", 252, 65536),
                t.node(t.controller(soc + "fe201000.serial", "bus/amba") + "/tty/ttyAMA0", "class/tty", 204, 64)]

    def test_devices_of_the_board_have_groups_and_the_names_of_their_places(self):
        self.events(*self.board())
        self.assertEqual(self.links(), {"i2c-fe804000.i2c": "i2c-1", "spi-fe204000.spi-cs0": "spidev0.0",
                                        "gpio-fe200000.gpio": "gpiochip0", "tpm": "tpmrm0", "tpm-fe204000.spi-spi0.1": "tpmrm0",
                                        "tty-fe201000.serial": "ttyAMA0"})
        self.assertEqual({name: self.belongs(name) for name in ("i2c-1", "spidev0.0", "gpiochip0")},
                         {"i2c-1": ("i2c", 0o660), "spidev0.0": ("spi", 0o660), "gpiochip0": ("gpio", 0o660)})
        # Serial lines stay Debian's, the TPM tpm-udev's.
        self.assertEqual(self.belongs("ttyAMA0")[0], "dialout")

    def test_nobody_else_may_open_anything(self):
        self.events(*self.board())
        for name in os.listdir(self.tree.dev):
            if name not in ("tidegate", "char", "serial", "null"):
                self.assertEqual(self.belongs(name)[1] & 0o007, 0, name)

    def test_raspberry_pi_os_comes_to_the_same(self):
        board = self.board()
        self.events(*board)
        alone = {os.path.basename(p): self.belongs(os.path.basename(p)) for p in board}, self.links()
        self.write("rules/99-com.rules", RASPBERRY)
        self.events(*board)
        self.assertEqual(alone, ({os.path.basename(p): self.belongs(os.path.basename(p)) for p in board}, self.links()))

    def test_an_adapter_keeps_its_name_whatever_its_number_is(self):
        t = self.tree
        numbers = {}
        for number, address in (7, "1f00074000"), (3, "1f00080000"):
            i2c = t.device(t.controller(f"platform/axi/1000120000.pcie/{address}.i2c") + f"/i2c-{number}", "bus/i2c")
            numbers[f"i2c-{address}.i2c"] = f"i2c-{number}"
            self.events(t.node(f"{i2c}/i2c-dev/i2c-{number}", "class/i2c-dev", 89, number, name="Synopsys DesignWare I2C adapter"))
        self.assertEqual(self.links(), numbers)

    def test_channels_of_a_multiplexer_do_not_take_the_name_of_their_adapter(self):
        t = self.tree
        i2c = t.device(t.controller("platform/soc/fe804000.i2c") + "/i2c-1", "bus/i2c")
        mux = t.device(i2c + "/i2c-11", "bus/i2c")
        self.events(t.node(i2c + "/i2c-dev/i2c-1", "class/i2c-dev", 89, 1, name="bcm2835 (i2c@7e804000)"),
                    t.node(mux + "/i2c-dev/i2c-11", "class/i2c-dev", 89, 11, name="i2c-1-mux (chan_id 0)"))
        self.assertEqual(self.links(), {"i2c-fe804000.i2c": "i2c-1"})
        self.assertEqual(self.belongs("i2c-11"), ("i2c", 0o660))

    def test_expanders_on_one_bus_are_told_apart(self):
        t = self.tree
        i2c = t.device(t.controller("platform/soc/fe804000.i2c") + "/i2c-1", "bus/i2c")
        self.events(*[t.node(t.device(f"{i2c}/1-00{a}", "bus/i2c") + f"/gpiochip{n}", "bus/gpio", 254, n)
                      for n, a in ((2, "20"), (3, "21"))])
        self.assertEqual(self.links(), {"gpio-fe804000.i2c-1-0020": "gpiochip2", "gpio-fe804000.i2c-1-0021": "gpiochip3"})

    def test_the_first_of_two_tpms_is_the_tpm(self):
        t = self.tree
        nodes = []
        for n in (1, 0):
            spi = t.device(t.controller("platform/soc/fe204000.spi") + f"/spi_master/spi0/spi0.{n}", "bus/spi")
            nodes.append(t.node(f"{spi}/tpmrm/tpmrm{n}", "class/tpmrm", 252, 65536 + n))
        for order in nodes, nodes[::-1]:
            self.events(*order)
            self.assertEqual(self.links(), {"tpm": "tpmrm0", "tpm-fe204000.spi-spi0.0": "tpmrm0",
                                            "tpm-fe204000.spi-spi0.1": "tpmrm1"})

    def test_a_usb_serial_adapter_has_the_names_of_its_number_and_of_its_port(self):
        self.events(self.tree.usb_tty(4, "3", serial="A50285BI"))
        self.assertEqual(self.links(), {"tty-A50285BI": "ttyUSB4", f"tty-{USB_PATH}1.3:1.0": "ttyUSB4"})
        self.assertEqual(self.belongs("ttyUSB4")[0], "dialout")

    def test_clones_with_one_number_have_only_the_names_of_their_ports(self):
        self.events(self.tree.usb_tty(0, "1", serial="0001"), self.tree.usb_tty(1, "2", serial="0001"),
                    self.tree.usb_tty(2, "3"), self.tree.usb_tty(3, "4", serial="0123456789"))
        self.assertEqual(self.links(), {f"tty-{USB_PATH}1.{n + 1}:1.0": f"ttyUSB{n}" for n in range(4)})

    def test_all_lines_of_an_adapter_with_several_have_names(self):
        t = self.tree
        self.events(t.usb_tty(0, "1", "00", serial="FT4232"), t.usb_tty(1, "1", "01", serial="FT4232"),
                    t.usb_tty(2, "2", "00", "0", serial="MOXA55"), t.usb_tty(3, "2", "00", "1", serial="MOXA55"))
        self.assertEqual({name: to for name, to in self.links().items() if "platform" not in name},
                         {"tty-FT4232": "ttyUSB0", "tty-FT4232-if01": "ttyUSB1", "tty-MOXA55": "ttyUSB2", "tty-MOXA55-port1": "ttyUSB3"})
        self.assertEqual(len(self.links()), 8)

    def test_a_name_out_of_a_device_cannot_leave_its_directory(self):
        self.events(self.tree.usb_tty(0, "1", serial="../../mem"), self.tree.usb_tty(1, "2", serial="a b/../c\\x2f"))
        self.assertEqual(sorted({*os.listdir(self.tree.dev)} - {"char"}), ["null", "serial", "tidegate", "ttyUSB0", "ttyUSB1"])
        self.assertEqual(len(self.links()), 4)

    def test_a_usb_bridge_has_the_names_of_its_port(self):
        t = self.tree
        hid = t.device(t.usb("4") + "/0003:10C4:EA90.0001", "bus/hid")
        self.events(t.node(t.device(hid + "/i2c-9", "bus/i2c") + "/i2c-dev/i2c-9", "class/i2c-dev", 89, 9, name="CP2112 on hidraw0"),
                    t.node(hid + "/gpiochip3", "bus/gpio", 254, 3))
        self.assertEqual(self.links(), {f"i2c-{USB_PATH}1.4:1.0": "i2c-9", f"gpio-{USB_PATH}1.4:1.0": "gpiochip3"})

    def test_ports_that_are_not_there_have_no_names(self):
        self.events(self.tree.node(self.tree.controller("platform/serial8250") + "/tty/ttyS3", "class/tty", 4, 67))
        self.assertEqual(self.links(), {})

    # --- CAN -------------------------------------------------------------------------------------------------------------

    def interface(self, path, kind):
        return self.tree.device(path, "class/net", f"INTERFACE={os.path.basename(path)}\nIFINDEX=7", type=kind)

    def test_only_controllers_of_can_with_a_file_are_to_be_brought_up(self):
        pci = self.tree.device("pci0000:00/0000:00:03.0", "bus/pci")
        for name in ("can0", "eth0", "vcan0", "can-1"):
            self.write(name + ".conf", "[can]\n")
        can, *others = self.events(
            self.interface(pci + "/net/can0", "280"), self.interface(pci + "/net/can1", "280"), self.interface(pci + "/net/eth0", "1"),
            self.interface(pci + "/net/can-1", "280"), self.interface("virtual/net/vcan0", "280"))
        self.assertEqual(can.get("SYSTEMD_WANTS"), "tidegate-can@can0.service")
        self.assertIn("systemd", can.get("TAGS", ""))
        self.assertEqual([o["INTERFACE"] for o in others if "SYSTEMD_WANTS" in o], [])


def cannot():
    """Why it cannot run here, or None."""
    if os.geteuid() != 0:
        return "only root can make device files"
    if not shutil.which("udevadm") or not SYSTEM:
        return "udev is not installed"
    tried = subprocess.run(["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/run"],
                           capture_output=True, text=True)
    return None if tried.returncode == 0 else "no mount namespaces: " + tried.stderr.strip()


if __name__ == "__main__":
    if why := cannot():
        print(why)
        sys.exit(77)
    unittest.main(verbosity=2)
