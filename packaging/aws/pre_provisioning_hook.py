# SPDX-License-Identifier: Apache-2.0
"""Pre-provisioning hook for AWS Lambda: decides whether a certificate may be registered.

Attach it to both templates. It answers two questions:

enrolment   Is this serial number on the list of gateways that are expected? A claim certificate is in
            every gateway that was shipped, so without a list whoever takes it out of one can enrol
            as any other.
rotation    Is the certificate that asks attached to the thing that it names? Without this check a
            gateway could have itself issued a certificate for another gateway's thing.

The list is a DynamoDB table (environment variable TABLE) whose key is SerialNumber. AWS waits five
seconds for the answer; an error or anything but allowProvisioning = true refuses.
"""

import os


def decide(event, rotation_template, is_expected, things_of):
    """The answer to one event. is_expected(serial) and things_of(certificate id) look things up."""
    serial = event.get("parameters", {}).get("SerialNumber", "")
    if not serial:
        return {"allowProvisioning": False}
    template = event.get("templateArn", "").rpartition("/")[2]
    if template == rotation_template:
        return {"allowProvisioning": serial in things_of(event["claimCertificateId"])}
    return {"allowProvisioning": is_expected(serial)}


def lambda_handler(event, _context):
    import boto3        # part of the Lambda runtime

    def is_expected(serial):
        table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
        return "Item" in table.get_item(Key={"SerialNumber": serial})

    def things_of(certificate_id):
        iot = boto3.client("iot")
        arn = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]["certificateArn"]
        return iot.list_principal_things(principal=arn)["things"]

    return decide(event, os.environ["ROTATION_TEMPLATE"], is_expected, things_of)
