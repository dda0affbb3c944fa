"""The contenders of this house: userstack, the kernel and the bare loop. Each program keeps to ``bench.contender``'s contract."""
