"""Measurements beside what a user would pick instead, in one run on one machine: only ratios mean something."""
