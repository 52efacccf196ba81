"""Tells whoever follows a query that there is something to see; the row stays the only truth.

A notice is a hint over the broker's publish/subscribe: it may be lost, come late or come twice,
and nothing depends on it but how soon a change is seen. Without a broker everyone looks at the row.
"""
