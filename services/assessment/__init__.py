"""Instruments, cycles, and the assessments of regions."""
