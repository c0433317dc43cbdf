"""Other people's SIP programs as a test drives them: one module a program, each with a `start` of its own.

Every peer runs on loopback from a configuration of its own in the test's folder, needs no root and no sound hardware, and keeps a
record of the messages it sent and received as it saw them itself.
"""
