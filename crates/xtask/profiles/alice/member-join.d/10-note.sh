#!/bin/sh
echo "$5 at $6 has joined $3"
