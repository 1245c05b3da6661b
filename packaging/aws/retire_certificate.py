# SPDX-License-Identifier: Apache-2.0
"""Function for AWS Lambda: switches off a certificate that its gateway has no more use for.

A device cannot deactivate a certificate of its own; it can only say that it is done with it. The rule in
certificate-events-rule.json hands two such events over, with the certificate that published them:

certificate-retired      the new certificate has proved itself: the old one goes
certificate-rolled-back  the new certificate was refused: it goes, its key is gone already

The event is a claim by whoever published it. It is believed only as far as its publisher speaks for the
gateway: under the certificate that stays, which is attached to the thing that the topic names, and so is the
one that goes. Nothing older than itself is deactivated by a certificate that was refused, nothing younger
by one that was retired, and a roll-back ends only what was issued a short while ago. What is left: who holds the
key of the certificate before, as long as that is active, can end the new one within those days; the gateway then
renews once more.
"""

import datetime

# A gateway reports a roll-back as soon as it is connected again.
ROLL_BACK_WITHIN = datetime.timedelta(days=7)


class Refused(Exception):
    """The event is not followed; says why."""


def identifier(event, which):
    """A certificate's id in an event. It is the SHA-256 fingerprint, which methods other than AWS's tell alone."""
    told = event.get(which)
    found = (told.get("certificate_id") or told.get("fingerprint")) if isinstance(told, dict) else None
    if not isinstance(found, str) or len(found) != 64 or set(found.lower()) - set("0123456789abcdef"):
        raise Refused(f"no certificate id in '{which}'")
    return found.lower()


def judge(event, describe, things_of, now):
    """The id of the certificate to switch off, or None where that is done already; raises Refused.

    describe(id) is the certificate's description or None, things_of(description) the names of its things.
    """
    kinds = {"certificate-retired": ("new", "old"), "certificate-rolled-back": ("old", "new")}
    if event.get("event") not in kinds:
        raise Refused("not an event that ends a certificate")
    stays, goes = (identifier(event, which) for which in kinds[event["event"]])
    if event.get("principal") != stays:
        raise Refused("published under another certificate than the one that stays")
    if stays == goes:
        raise Refused("one certificate under both names")
    kept, ended = describe(stays), describe(goes)
    if kept is None or kept["status"] != "ACTIVE":
        raise Refused("the certificate that stays is not active")
    if ended is None or ended["status"] != "ACTIVE":
        return None
    thing = event.get("gateway")
    if thing not in things_of(kept) or thing not in things_of(ended):
        raise Refused(f"not both of thing {thing}")
    old, new = (ended, kept) if event["event"] == "certificate-retired" else (kept, ended)
    if old["creationDate"] > new["creationDate"]:
        raise Refused("the one called new is older than the one called old")
    if ended is new and now - new["creationDate"] > ROLL_BACK_WITHIN:
        raise Refused("too old for a roll-back")
    return goes


def handle(event, iot, now):
    """The same with AWS's client: returns what was done, for the log."""
    def describe(id_):
        try:
            return iot.describe_certificate(certificateId=id_)["certificateDescription"]
        except iot.exceptions.ResourceNotFoundException:
            return None

    def things_of(description):
        return iot.list_principal_things(principal=description["certificateArn"])["things"]

    try:
        ended = judge(event, describe, things_of, now)
    except Refused as reason:
        return {"deactivated": None, "refused": str(reason)}
    if ended is not None:
        iot.update_certificate(certificateId=ended, newStatus="INACTIVE")
    return {"deactivated": ended, "refused": None}


def lambda_handler(event, _context):
    import boto3        # part of the Lambda runtime

    done = handle(event, boto3.client("iot"), datetime.datetime.now(datetime.timezone.utc))
    print({"gateway": event.get("gateway"), "event": event.get("event"), **done})
    return done
