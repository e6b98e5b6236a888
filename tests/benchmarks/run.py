"""All benchmarks, one after the other: `python tests/benchmarks/run.py`. Nothing else should run meanwhile."""

import bench_dialogs
import bench_email
import bench_embedder
import bench_growth
import bench_isolation
import bench_slack
import bench_start
import bench_websocket

if __name__ == "__main__":
    for bench in (
        bench_start,
        bench_websocket,
        bench_isolation,
        bench_growth,
        bench_dialogs,
        bench_email,
        bench_slack,
        bench_embedder,
    ):
        print(f"\n== {(bench.__doc__ or '').splitlines()[0]}")
        bench.main()
