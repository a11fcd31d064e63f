#!/bin/sh
echo "$5 at $6 is gone from $3"
