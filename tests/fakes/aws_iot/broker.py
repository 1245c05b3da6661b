# SPDX-License-Identifier: Apache-2.0
"""Connections, limits and routing.

One task a connection reads packets in order and answers them; it ends by raising Close with the reason that
AWS would put into its presence event. Whoever else wants a connection gone calls kill(). All state belongs
to the one event loop, so nothing is locked.
"""

import asyncio
import time
import traceback

from . import mqtt, provisioning
from .mqtt import Malformed, Publish
from .policy import evaluate
from .sessions import Sessions

CLIENT_ID_MAX = 128
TOPIC_MAX = 256
SLASHES_MAX = 7
FILTERS_MAX = 8
INFLIGHT_BUFFER_MAX = 4 << 20       # bytes queued for a subscriber that does not read
# Reserved topics that AWS serves and this stand-in accepts without an answer.
RESERVED_SILENT = ("$aws/things/", "$aws/rules/")


class Close(Exception):
    """Ends a connection: reason as in AWS's presence events, detail for whoever reads the log."""

    def __init__(self, reason, detail, orderly=False):
        super().__init__(detail)
        self.reason = reason
        self.orderly = orderly


class Bucket:
    """A token bucket of one second's burst."""

    def __init__(self, rate):
        self.rate = rate
        self.level = rate
        self.at = time.monotonic()

    def take(self, amount):
        """Returns 0 and takes, or the seconds until @amount is there and takes nothing."""
        current = time.monotonic()
        self.level = min(self.rate, self.level + (current - self.at) * self.rate)
        self.at = current
        if self.level < amount and self.level < self.rate:
            return (min(amount, self.rate) - self.level) / self.rate
        self.level -= amount
        return 0


def check_topic(topic, what):
    if len(topic.encode()) > TOPIC_MAX:
        raise Close("CLIENT_ERROR", f"{what} longer than {TOPIC_MAX} bytes")
    # AWS does not count the three levels of $aws/rules/<name>/; the names of other reserved topics are its own.
    if not topic.startswith("$aws/") and topic.count("/") > SLASHES_MAX:
        raise Close("CLIENT_ERROR", f"{what} with more than {SLASHES_MAX} slashes")


class Connection:
    def __init__(self, broker, reader, writer, certificate, subject):
        self.broker = broker
        self.config = broker.config
        self.reader = reader
        self.writer = writer
        self.certificate = certificate
        self.subject = subject
        self.client_id = ""
        self.will = None
        self.session = None                 # from CONNACK on
        self.subscriptions = {}             # filter -> QoS
        self.variables = {}
        self.keep_alive = self.config.keep_alive_max
        self.next_id = 0
        self.publishes = Bucket(self.config.publish_rate)
        self.bytes = Bucket(self.config.byte_rate)
        self.killed = None
        self.task = asyncio.current_task()
        self.tasks = set()
        self.closed = asyncio.Event()

    # --- what other parts call -------------------------------------------------------------------------

    def kill(self, reason, detail):
        """Ends the connection from outside its task."""
        if self.killed is None:
            self.killed = Close(reason, detail)
            self.task.cancel()

    def send(self, data):
        if self.writer.transport.get_write_buffer_size() > INFLIGHT_BUFFER_MAX:
            self.kill("CLIENT_ERROR", "the client does not read")
            return
        self.writer.write(data)

    async def drain(self):
        try:
            async with asyncio.timeout(5):
                await self.writer.drain()
        except OSError:                     # TimeoutError is one; the next read meets the broken connection
            pass

    def allowed(self, action, kind, name):
        policies = self.broker.registry.policies_of(self.certificate)
        return evaluate(policies, action, self.config.arn(kind, name), self.variables)

    def granted_qos(self, topic):
        """The QoS of this connection's best subscription to a topic, or None."""
        fits = [qos for f, qos in self.subscriptions.items() if mqtt.matches(f, topic)]
        return max(fits) if fits else None

    def deliver(self, message, retained=False):
        """Sends a message on if a subscription takes it and the policy lets this client receive it."""
        qos = self.granted_qos(message.topic)
        if qos is None:
            return False
        if not self.allowed("iot:Receive", "topic", message.topic)[0]:
            self.broker.log("refused", stage="receive", client=self.client_id, topic=message.topic,
                            reason="policy")
            return False
        qos = min(qos, message.qos)
        self.next_id = self.next_id % 65535 + 1
        self.send(mqtt.publish(Publish(message.topic, message.payload, qos, retained, False, self.next_id)))
        return True

    async def deliver_reply(self, topic, payload):
        """The answer to a call: to this connection only, and lost when it has not subscribed."""
        if not self.deliver(Publish(topic, payload, 1)):
            self.broker.log("reply-lost", client=self.client_id, topic=topic)

    # --- the connection's own task ---------------------------------------------------------------------

    async def run(self):
        reason = Close("CONNECTION_LOST", "the client closed the connection")
        try:
            await self.accept()
            while True:
                await self.step()
        except Close as close:
            reason = close
        except Malformed as error:
            reason = Close("CLIENT_ERROR", f"malformed: {error}")
        except mqtt.TooLarge as error:
            reason = Close("CLIENT_ERROR", f"too large: {error}")
        except (asyncio.IncompleteReadError, OSError):
            pass
        except asyncio.CancelledError:
            if self.killed is None:
                reason = Close("SERVER_INITIATED_DISCONNECT", "the stand-in stops")
        finally:
            self.finish(self.killed or reason)

    def finish(self, reason):
        for task in self.tasks:
            task.cancel()
        connected = self.broker.sessions.get(self.client_id) is self
        if connected:
            del self.broker.sessions[self.client_id]
            self.broker.record.end(self.session, reason.reason)
        self.broker.log("disconnect", client=self.client_id, certificate=self.certificate.id,
                        connected=bool(self.variables), reason=reason.reason, detail=str(reason))
        if self.will and self.variables and not reason.orderly:
            self.broker.publish_will(self)
        self.closed.set()

    async def read(self, timeout):
        limit = self.config.payload_max + TOPIC_MAX + 4
        async with asyncio.timeout(timeout):
            return await mqtt.read_packet(self.reader, limit)

    def fault(self, name, topic="", payload=b""):
        return self.broker.faults.take(name, self.client_id, topic, payload=payload,
                                       certificate=self.certificate.id)

    async def accept(self):
        """CONNECT to CONNACK."""
        try:
            packet = await self.read(self.config.connect_timeout)
        except TimeoutError:
            raise Close("CLIENT_ERROR", "no CONNECT in time") from None
        if packet.kind != mqtt.CONNECT:
            raise Close("CLIENT_ERROR", "the first packet is not CONNECT")
        connect = mqtt.parse_connect(packet)
        self.client_id = connect.client_id
        held = self.broker.sessions.get(self.client_id)
        if held is not None:
            self.broker.record.meet(self.client_id, held.certificate.id, self.certificate.id)
        if self.fault("connect-drop") is not None:
            raise Close("SERVER_INITIATED_DISCONNECT", "fault")
        if self.fault("connect-hang") is not None:
            await asyncio.sleep(3600)
        await self.judge(connect)
        while (old := self.broker.sessions.get(self.client_id)) is not None:
            old.kill("DUPLICATE_CLIENTID", "another connection took over the client id")
            await old.closed.wait()
        self.will = connect.will
        self.keep_alive = min(max(connect.keep_alive or self.config.keep_alive_max, self.config.keep_alive_min),
                              self.config.keep_alive_max)
        self.broker.sessions[self.client_id] = self
        self.session = self.broker.record.begin(self.client_id, self.certificate.id)
        self.broker.log("connect", client=self.client_id, certificate=self.certificate.id,
                        subject=self.subject, thing=self.variables.get("iot:Connection.Thing.ThingName"),
                        keepAlive=connect.keep_alive, clean=connect.clean,
                        will=connect.will.topic if connect.will else None)
        self.send(mqtt.connack(0))
        if self.fault("connack-drop") is not None:
            await self.drain()
            raise Close("SERVER_INITIATED_DISCONNECT", "fault")
        drop = self.fault("session-drop")
        if drop is not None:
            self.spawn(self.kill_later(drop.get("seconds", 1)))

    async def judge(self, connect):
        """Raises Close for a CONNECT that is not taken, after CONNACK where there is one."""
        refusal = self.fault("connack")
        if refusal is not None:
            await self.refuse(refusal.get("code", 3), "fault")
        if connect.level != 4:
            await self.refuse(1, f"protocol level {connect.level} is not imitated")
        if not connect.client_id or len(connect.client_id.encode()) > CLIENT_ID_MAX \
                or connect.client_id.startswith("$"):
            await self.refuse(2, "client id")
        if self.broker.throttled(connect.client_id):
            raise Close("THROTTLED", "CONNECTs of one client id too near to each other")
        if self.certificate.status != "ACTIVE":
            raise Close("AUTH_ERROR", f"certificate is {self.certificate.status}")
        variables = self.broker.registry.connection_variables(self.certificate, connect.client_id)
        attributes = ([] if connect.clean else ["PersistentConnect"]) + (["LastWill"] if connect.will else [])
        allowed, why = evaluate(self.broker.registry.policies_of(self.certificate), "iot:Connect",
                                self.config.arn("client", connect.client_id),
                                {**variables, "iot:ConnectAttributes": attributes})
        if not allowed:
            if self.config.connack_denied >= 0:
                await self.refuse(self.config.connack_denied, f"policy: {why}", "AUTH_ERROR")
            raise Close("AUTH_ERROR", f"policy: {why}")
        self.variables = variables

    async def refuse(self, code, why, reason="CLIENT_ERROR"):
        self.broker.log("refused", stage="connect", client=self.client_id, code=code, reason=why,
                        certificate=self.certificate.id)
        self.send(mqtt.connack(code))
        await self.drain()
        raise Close(reason, why)

    async def step(self):
        try:
            packet = await self.read(self.keep_alive * 1.5)
        except TimeoutError:
            raise Close("MQTT_KEEP_ALIVE_TIMEOUT", "nothing heard for 1.5 times the keep-alive") from None
        wait = self.bytes.take(len(packet.body))
        if wait:
            await asyncio.sleep(wait)       # AWS delays what exceeds the byte rate; it does not drop it
        handler = self.HANDLERS.get(packet.kind)
        if handler is None:
            raise Close("CLIENT_ERROR", f"packet type {packet.kind}")
        await handler(self, packet)
        await self.drain()

    async def on_publish(self, packet):
        message = mqtt.parse_publish(packet)
        if self.fault("publish-deny", message.topic, message.payload) is not None:
            raise Close("FORBIDDEN_ACCESS", "fault")
        if message.qos == 2:
            self.broker.log("refused", stage="publish", client=self.client_id, topic=message.topic,
                            reason="QoS 2 is not answered")
            return
        self.check_publish(message)
        if self.publishes.take(1):
            self.broker.log("throttled", client=self.client_id, topic=message.topic, bytes=len(message.payload))
            return                          # discarded without PUBACK, and the connection stays
        lie = self.fault("puback-lie", message.topic, message.payload) is not None
        self.session.note_publish(message, lie)
        self.broker.log_publish(self, message, lie)
        call = provisioning.call_of(message.topic)
        if call and self.fault("reply-before-puback", message.topic) is not None:
            await self.broker.provisioning.serve(self, message.topic, message.payload)
            call = None
        elif not call and not lie:
            self.broker.route(message)
            self.broker.rules.take(self, message)
        await self.acknowledge(message)
        if call:
            self.spawn(self.broker.provisioning.serve(self, message.topic, message.payload))

    def check_publish(self, message):
        check_topic(message.topic, "topic")
        if len(message.payload) > self.config.payload_max:
            raise Close("CLIENT_ERROR", f"payload of {len(message.payload)} bytes")
        actions = ["iot:Publish"] + (["iot:RetainPublish"] if message.retain else [])
        for action in actions:
            allowed, why = self.allowed(action, "topic", message.topic)
            if not allowed:
                self.broker.log("refused", stage="publish", client=self.client_id, topic=message.topic,
                                action=action, reason=f"policy: {why}")
                raise Close("FORBIDDEN_ACCESS", f"{action} on {message.topic}: {why}")
        if message.topic.startswith("$") and not provisioning.call_of(message.topic) \
                and not message.topic.startswith(RESERVED_SILENT):
            raise Close("CLIENT_ERROR", f"reserved topic {message.topic}")
        if message.retain and message.topic.startswith("$"):
            raise Close("CLIENT_ERROR", "retained message on a reserved topic")

    def spawn(self, coroutine):
        self.broker.start(coroutine, self.tasks)

    async def acknowledge(self, message):
        if message.qos == 0:
            return
        if self.fault("puback-drop-before", message.topic) is not None:
            raise Close("SERVER_INITIATED_DISCONNECT", "fault")
        if self.fault("puback-never", message.topic) is not None:
            return
        late = self.fault("puback-late", message.topic)
        if late is not None:
            self.spawn(self.send_later(late.get("seconds", 1), mqtt.puback(message.packet_id)))
            return
        if self.fault("puback-foreign", message.topic) is not None:
            self.send(mqtt.puback(message.packet_id % 65535 + 1))
        self.send(mqtt.puback(message.packet_id))
        if self.fault("puback-twice", message.topic) is not None:
            self.send(mqtt.puback(message.packet_id))
        if self.fault("puback-drop-after", message.topic) is not None:
            await self.drain()
            raise Close("SERVER_INITIATED_DISCONNECT", "fault")
        stop = self.fault("read-stop", message.topic)
        if stop is not None:
            await asyncio.sleep(stop.get("seconds", 10))

    async def kill_later(self, seconds):
        await asyncio.sleep(seconds)
        self.kill("SERVER_INITIATED_DISCONNECT", "fault")

    async def send_later(self, seconds, data):
        await asyncio.sleep(seconds)
        self.send(data)

    async def on_subscribe(self, packet):
        subscribe = mqtt.parse_subscribe(packet)
        if len(subscribe.filters) > FILTERS_MAX:
            raise Close("CLIENT_ERROR", f"{len(subscribe.filters)} filters in one SUBSCRIBE")
        if any(qos == 2 for _, qos in subscribe.filters):
            self.broker.log("refused", stage="subscribe", client=self.client_id, reason="QoS 2 is not answered")
            return
        topics = " ".join(f for f, _ in subscribe.filters)
        if self.fault("suback-drop", topics) is not None:
            raise Close("SERVER_INITIATED_DISCONNECT", "fault")
        codes = [self.subscribe(f, qos) for f, qos in subscribe.filters]
        self.broker.log("subscribe", client=self.client_id,
                        filters=[{"filter": f, "qos": q, "code": c}
                                 for (f, q), c in zip(subscribe.filters, codes)])
        if self.fault("suback-never", topics) is not None:
            return
        self.send(mqtt.suback(subscribe.packet_id, codes))
        for (filter_, _), code in zip(subscribe.filters, codes):
            # AWS sends retained messages to subscriptions without wildcards only.
            if code != 0x80 and filter_ in self.broker.retained:
                self.deliver(self.broker.retained[filter_], retained=True)

    def subscribe(self, filter_, qos):
        """Returns the SUBACK code of one filter."""
        check_topic(filter_, "topic filter")
        if self.fault("suback-fail", filter_) is not None:
            return 0x80
        allowed, why = self.allowed("iot:Subscribe", "topicfilter", filter_)
        if not allowed:
            self.broker.log("refused", stage="subscribe", client=self.client_id, topic=filter_,
                            reason=f"policy: {why}")
            if self.config.deny_subscribe == "close":
                raise Close("FORBIDDEN_ACCESS", f"iot:Subscribe on {filter_}: {why}")
            return 0x80
        if filter_ not in self.subscriptions and len(self.subscriptions) >= self.config.subscriptions_max:
            return 0x80
        self.subscriptions[filter_] = qos
        return qos

    async def on_unsubscribe(self, packet):
        packet_id, filters = mqtt.parse_unsubscribe(packet)
        for filter_ in filters:
            self.subscriptions.pop(filter_, None)
        self.send(mqtt.unsuback(packet_id))

    async def on_puback(self, packet):
        mqtt.parse_packet_id(packet)        # nothing is sent again within a session, so nothing to forget

    async def on_pingreq(self, packet):
        if self.fault("ping-never") is None:
            self.send(mqtt.PINGRESP_PACKET)

    async def on_disconnect(self, packet):
        raise Close("CLIENT_INITIATED_DISCONNECT", "DISCONNECT", orderly=True)

    HANDLERS = {mqtt.PUBLISH: on_publish, mqtt.PUBACK: on_puback, mqtt.SUBSCRIBE: on_subscribe,
                mqtt.UNSUBSCRIBE: on_unsubscribe, mqtt.PINGREQ: on_pingreq, mqtt.DISCONNECT: on_disconnect}


class Broker:
    def __init__(self, config, registry, calls, faults, rules, log):
        self.config = config
        self.registry = registry
        self.provisioning = calls
        self.faults = faults
        self.log = log
        self.rules = rules
        self.record = Sessions(log)
        self.sessions = {}                  # client id -> Connection
        self.background = set()             # what runs beside every connection
        self.retained = {}                  # topic -> Publish
        self.last_connect = {}              # client id -> monotonic time

    def start(self, coroutine, tasks):
        """Runs something beside its starter; a failure of the stand-in itself shows in the log."""
        def done(task):
            tasks.discard(task)
            if not task.cancelled() and task.exception() is not None:
                self.log("internal-error", detail="".join(traceback.format_exception(task.exception())))

        task = asyncio.ensure_future(coroutine)
        tasks.add(task)
        task.add_done_callback(done)

    def throttled(self, client_id):
        current, last = time.monotonic(), self.last_connect.get(client_id)
        self.last_connect[client_id] = current
        return last is not None and current - last < self.config.connect_interval

    def log_publish(self, connection, message, kept_back):
        entry = {"payload": message.payload.decode("utf-8", "replace")} if self.config.log_payloads else {}
        if kept_back:
            entry["keptBack"] = True
        self.log("publish", client=connection.client_id, certificate=connection.certificate.id,
                 topic=message.topic, bytes=len(message.payload), qos=message.qos, retain=message.retain,
                 dup=message.dup, **entry)

    def route(self, message):
        if message.retain and message.payload:
            self.retained[message.topic] = message
        elif message.retain:
            self.retained.pop(message.topic, None)
        for connection in list(self.sessions.values()):
            connection.deliver(message)

    def publish_will(self, connection):
        """A will is published by its owner's rights, which may have ended since CONNECT."""
        will = connection.will
        actions = ["iot:Publish"] + (["iot:RetainPublish"] if will.retain else [])
        if not all(connection.allowed(a, "topic", will.topic)[0] for a in actions):
            self.log("refused", stage="will", client=connection.client_id, topic=will.topic, reason="policy")
            return
        self.log("will", client=connection.client_id, topic=will.topic, bytes=len(will.payload))
        self.route(Publish(will.topic, will.payload, min(will.qos, 1), will.retain))

    def disconnect_certificate(self, id_, why):
        """Closes what a certificate has open, as AWS does within minutes of its deactivation."""
        for connection in list(self.sessions.values()):
            if connection.certificate.id == id_:
                connection.kill("AUTH_ERROR", why)
