"""The screen at a door: a program of its own, which asks the agent and is shown by a browser.

Rule 1: it decides nothing that opens a door; what is typed here is decided by the agent like any reader's.
Rule 2: the agent, the desk and the browser may come and go: whatever is missing is shown as such, and tried again for ever.
"""
