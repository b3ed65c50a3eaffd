"""The same work done by airfleet, pyinfra, Ansible and bare ssh, side by side, on real machines."""
