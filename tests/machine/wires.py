# SPDX-License-Identifier: Apache-2.0
"""What hangs on the wires behind the USB serial adapters of the machine. As long as it is there, the adapter is plugged in."""

import socket
import struct
import threading


class Wires(threading.Thread):
    """Reads what the adapter sends, until it is pulled out."""

    def __init__(self, machine, adapter):
        super().__init__(daemon=True)
        self.socket = machine.plug(adapter)
        self.pending = b""
        self.start()

    def run(self):
        try:
            while data := self.socket.recv(4096):
                self.heard(data)
        except OSError:
            pass    # pulled out while it was waiting

    def heard(self, data):
        """Nothing is said to those that only speak."""

    def say(self, data):
        self.socket.sendall(data)

    def pull(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass    # it was out
        self.join(30)
        self.socket.close()

    end = pull


def modbus_crc(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)


class Meter(Wires):
    """A Modbus RTU unit with holding registers, by the standard's functions 3, 6 and 16."""

    def __init__(self, machine, unit=1, registers=None):
        self.unit, self.registers = unit, registers if registers is not None else {}
        super().__init__(machine, "meter")

    def heard(self, data):
        self.pending += data
        while len(self.pending) >= 8:
            length = 9 + self.pending[6] if self.pending[1] == 16 else 8
            frame, rest = self.pending[:length], self.pending[length:]
            if len(frame) < length:
                return
            if modbus_crc(frame[:-2]) != frame[-2:]:
                self.pending = self.pending[1:]
                continue
            self.pending = rest
            if frame[0] == self.unit:
                answer = bytes([self.unit]) + self.answer(frame[1:-2])
                self.say(answer + modbus_crc(answer))

    def answer(self, request):
        function, address, count = struct.unpack(">BHH", request[:5])
        if function == 6:
            self.registers[address] = count
            return request
        addresses = range(address, address + count)
        if function == 16:
            self.registers.update(zip(addresses, struct.unpack(f">{count}H", request[6:])))
            return request[:5]
        if function != 3:
            return bytes([function | 0x80, 1])
        if any(a not in self.registers for a in addresses):
            return bytes([function | 0x80, 2])
        return bytes([function, 2 * count]) + struct.pack(f">{count}H", *(self.registers[a] for a in addresses))


class TcpMeter(threading.Thread):
    """The same unit behind Modbus TCP: one connection after the other, with a header in place of unit and CRC."""

    def __init__(self, registers):
        super().__init__(daemon=True)
        self.registers = registers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        try:
            while True:
                connection, _ = self.listener.accept()
                with connection, connection.makefile("rb") as file:
                    self.serve(connection, file)
        except OSError:
            pass    # ended

    def serve(self, connection, file):
        while len(header := file.read(7)) == 7:
            transaction, _, length, unit = struct.unpack(">HHHB", header)
            answer = Meter.answer(self, file.read(length - 1))
            connection.sendall(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Gps(Wires):
    """A receiver of satellites: says where it is each time it is told to."""

    def __init__(self, machine):
        super().__init__(machine, "gps")

    def fix(self):
        body = b"GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W"
        checksum = 0
        for byte in body:
            checksum ^= byte
        self.say(b"$%b*%02X\r\n" % (body, checksum))
