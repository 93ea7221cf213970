package workload

const openWindow = 4096
