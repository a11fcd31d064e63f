"""What stands between a call and LocalEmu's services: IAM, as AWS decides. See ../README.md."""
