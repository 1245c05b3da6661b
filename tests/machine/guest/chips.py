# SPDX-License-Identifier: Apache-2.0
"""The chips on the I2C bus of the machine: what each answers, by its data sheet, and what a test can tell it.

A chip has write(data), which returns whether it acknowledged, read(count), and command(words) of a test.
"""

import struct


class Registers:
    """A file of registers, each of its own width, behind a pointer that a write sets and a read starts from."""

    def __init__(self, **values):
        self.registers = {int(name[1:], 16): bytes.fromhex(value) for name, value in values.items()}
        self.pointer = 0
        self.writes = 0

    def write(self, data):
        if data:
            self.pointer = data[0]
        if len(data) > 1:
            self.store(data[0], data[1:])
        return True

    def store(self, register, data):
        self.registers[register] = data
        self.writes += 1

    def load(self, register):
        return self.registers.get(register, b"\xFF")

    def read(self, count):
        out, register = b"", self.pointer
        while len(out) < count:
            out += self.load(register)
            register += 1
        return out[:count]

    def command(self, words):
        """set REGISTER HEX; get REGISTER; writes."""
        if words[0] == "set":
            self.registers[int(words[1], 0)] = bytes.fromhex(words[2])
        elif words[0] == "get":
            return self.registers[int(words[1], 0)].hex()
        elif words[0] == "writes":
            return self.writes
        else:
            raise ValueError(words[0])
        return "ok"


class Lm75(Registers):
    """A thermometer: register 0 holds half degrees in its upper nine bits."""

    def __init__(self):
        super().__init__(r00="1900", r01="00", r02="4b00", r03="5000")

    def command(self, words):
        """celsius NUMBER, or as any registers."""
        if words[0] != "celsius":
            return super().command(words)
        self.registers[0] = struct.pack(">h", int(round(float(words[1]) * 2)) << 7)
        return "ok"


class Ads1015(Registers):
    """A converter with a multiplexer: register 0 is what the inputs show that bits 14 to 12 of register 1 choose."""

    def __init__(self):
        super().__init__(r00="0000", r01="8583", r02="8000", r03="7fff")
        self.inputs = {}

    def load(self, register):
        if register != 0:
            return super().load(register)
        chosen = self.registers[1][0] >> 4 & 7
        return struct.pack(">h", self.inputs.get(chosen - 4, 0) << 4)

    def command(self, words):
        """input 0..3 COUNTS: of one input against ground, twelve bits."""
        if words[0] != "input":
            return super().command(words)
        self.inputs[int(words[1])] = int(words[2])
        return "ok"


class Sht31:
    """A hygrometer: a command of two bytes, and later two words, each with a CRC-8 of its own."""

    def __init__(self):
        self.words, self.asked, self.spoilt = (0x6666, 0x8000), False, False

    @staticmethod
    def crc(data):
        """Polynomial 0x31, begins with 0xFF."""
        crc = 0xFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = (crc << 1 ^ 0x31 if crc & 0x80 else crc << 1) & 0xFF
        return crc

    def write(self, data):
        self.asked = data == b"\x24\x00"
        return True

    def read(self, count):
        if not self.asked:
            return b"\xFF" * count
        out = b""
        for word in self.words:
            raw = struct.pack(">H", word)
            out += raw + bytes([self.crc(raw) ^ self.spoilt])
        return out[:count].ljust(count, b"\xFF")

    def command(self, words):
        """measured TEMPERATURE HUMIDITY, raw words; spoilt 0|1."""
        if words[0] == "measured":
            self.words = (int(words[1], 0), int(words[2], 0))
        elif words[0] == "spoilt":
            self.spoilt = words[1] == "1"
        else:
            raise ValueError(words[0])
        return "ok"


class Ds18b20:
    """A thermometer on a 1-Wire bus, bit by bit."""

    def __init__(self, serial):
        self.rom = self.sealed(bytes([0x28]) + serial.to_bytes(6, "little"))
        self.celsius, self.spoilt, self.there = 21.5, False, True
        self.measured = None    # nothing yet: the power-on value
        self.reset()

    @staticmethod
    def sealed(data):
        """With the CRC-8 of 1-Wire behind it: polynomial 0x31 reflected, begins with 0."""
        crc = 0
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
        return data + bytes([crc])

    def reset(self):
        self.selected, self.state = self.there, self.rom_command
        self.incoming, self.outgoing = [], []
        self.search_bit = None

    def scratchpad(self):
        sixteenths = 85 * 16 if self.measured is None else int(round(self.measured * 16))
        pad = self.sealed(struct.pack("<hBBBBBB", sixteenths, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10))
        return pad[:-1] + bytes([pad[-1] ^ self.spoilt])

    # What a byte from the master means next.

    def rom_command(self, byte):
        if byte == 0xF0:
            self.search_bit = 0
        elif byte == 0x33:
            self.send(self.rom)
        elif byte == 0x55:
            self.state, self.matched = self.match, b""
        elif byte == 0xCC:
            self.state = self.function
        else:
            self.selected = False

    def match(self, byte):
        self.matched += bytes([byte])
        if len(self.matched) == len(self.rom):
            self.selected = self.matched == self.rom
            self.state = self.function

    def function(self, byte):
        if byte == 0x44:
            self.measured = self.celsius
        elif byte == 0xBE:
            self.send(self.scratchpad())
        # 0xB4, power supply, and the rest: ones, which say "not parasitic" and "done"

    def send(self, data):
        self.outgoing = [byte >> bit & 1 for byte in data for bit in range(8)]

    # What the master does on the wire.

    def take(self, bit):
        if self.selected and self.search_bit is None:
            self.incoming.append(bit)
            if len(self.incoming) == 8:
                byte, self.incoming = sum(b << n for n, b in enumerate(self.incoming)), []
                self.state(byte)

    def give(self):
        return self.outgoing.pop(0) if self.selected and self.outgoing else 1

    def searched(self):
        """The next bit of the search, or None when it is not in it."""
        if not self.selected or self.search_bit is None or self.search_bit >= 64:
            return None
        return self.rom[self.search_bit // 8] >> self.search_bit % 8 & 1

    def direction(self, bit):
        if self.searched() is not None:
            self.selected = self.searched() == bit
            self.search_bit += 1


class Ds2482:
    """A master of 1-Wire with its bus: commands, and a read pointer to one of three registers."""

    STATUS, DATA, CONFIG = 0xF0, 0xE1, 0xC3
    PRESENCE, LEVEL, RESET, SINGLE, SECOND, TAKEN = 0x02, 0x08, 0x10, 0x20, 0x40, 0x80

    def __init__(self, slaves):
        self.slaves = slaves
        self.registers = {self.STATUS: self.LEVEL | self.RESET, self.DATA: 0, self.CONFIG: 0}
        self.pointer = self.STATUS

    def bit(self, out):
        """One time slot: a one lets the slaves speak, and a zero of any of them wins."""
        result = out
        for slave in self.slaves:
            if out and slave.outgoing:
                result &= slave.give()
            else:
                slave.take(out)
        return result

    def reset(self):
        for slave in self.slaves:
            slave.reset()
        self.registers[self.STATUS] = self.LEVEL | (self.PRESENCE if any(s.there for s in self.slaves) else 0)

    def triplet(self, wanted):
        bits = [s.searched() for s in self.slaves if s.searched() is not None]
        first, second = all(bits), all(not b for b in bits)
        taken = wanted if first == second else first
        for slave in self.slaves:
            slave.direction(taken)
        self.registers[self.STATUS] = self.LEVEL | self.SINGLE * first | self.SECOND * second | self.TAKEN * taken

    def write(self, data):
        if not data:
            return True
        command, value = data[0], data[1] if len(data) > 1 else 0
        self.pointer = self.STATUS
        if command == 0xF0:
            self.registers[self.STATUS] = self.LEVEL | self.RESET
            self.registers[self.CONFIG] = 0
        elif command == 0xE1:
            self.pointer = value
        elif command == 0xD2:
            self.registers[self.CONFIG], self.pointer = value & 0x0F, self.CONFIG
        elif command == 0xB4:
            self.reset()
        elif command == 0x87:
            self.registers[self.STATUS] = self.LEVEL | self.SINGLE * self.bit(value >> 7)
        elif command == 0xA5:
            for n in range(8):
                self.bit(value >> n & 1)
        elif command == 0x96:
            self.registers[self.DATA] = sum(self.bit(1) << n for n in range(8))
        elif command == 0x78:
            self.triplet(value >> 7)
        else:
            return False    # the one with eight channels would know more
        return True

    def read(self, count):
        return bytes([self.registers.get(self.pointer, 0xFF)]) * count

    def command(self, words):
        """NUMBER celsius VALUE, NUMBER spoilt 0|1, NUMBER there 0|1: of one slave."""
        slave = self.slaves[int(words[0])]
        if words[1] == "celsius":
            slave.celsius = float(words[2])
        elif words[1] in ("spoilt", "there"):
            setattr(slave, words[1], words[2] == "1")
        else:
            raise ValueError(words[1])
        return "ok"


def all_chips():
    return {0x18: Ds2482([Ds18b20(1), Ds18b20(0x1A2B3C)]), 0x40: Registers(r00="0000", r10="2a"), 0x44: Sht31(),
            0x48: Lm75(), 0x49: Ads1015()}
