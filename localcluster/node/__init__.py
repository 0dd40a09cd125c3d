"""The part of localcluster that runs inside the namespaces of a cluster."""
