# SPDX-License-Identifier: Apache-2.0
"""What can be set at start, and through the control socket while it runs."""

from dataclasses import dataclass

from standin import Settings


@dataclass
class Config(Settings):
    region: str = "eu-central-1"
    account: str = "123456789012"
    template: str = "tidegate-fleet"
    rotation_template: str = "tidegate-rotation"
    token_life: float = 3600            # seconds until a certificate that was not registered is deleted
    certificate_life: float = 0         # seconds; 0 is AWS's own end of 2049. Else a "certificate provider"
    certificate_backdate: float = 120   # seconds by which notBefore lies behind the time of issue
    hook_timeout: float = 5
    function_delay: float = 0           # seconds from an event to the function that a rule calls
    refuse_at: str = "tls"              # where a certificate that is not active is dropped: tls, connect
    deny_subscribe: str = "suback"      # a SUBSCRIBE that the policy refuses: suback (0x80) or close
    connack_denied: int = 7             # CONNACK code of a CONNECT that the policy refuses; -1 just closes
    connect_interval: float = 0         # seconds between two CONNECTs of one client id; 0 is no throttle
    connect_timeout: float = 10         # seconds for the TLS handshake, and again for CONNECT
    keep_alive_min: int = 30            # seconds; shorter ones are raised to it
    keep_alive_max: int = 1200
    payload_max: int = 128 * 1024
    publish_rate: float = 100           # publishes a second and connection
    byte_rate: float = 512 * 1024       # bytes a second and connection
    subscriptions_max: int = 50
    require_alpn: bool = False          # as on port 443
    log_payloads: bool = False

    def arn(self, kind, rest):
        return f"arn:aws:iot:{self.region}:{self.account}:{kind}/{rest}"

    def substitute(self, text):
        """Fills in the placeholders of the files in packaging/aws."""
        for name in ("region", "account", "rotation_template", "template"):
            text = text.replace(f"@{name.upper()}@", getattr(self, name))
        return text
