"""Programs around the library that are not part of it: the demonstration, the benchmarks, the crawler."""
