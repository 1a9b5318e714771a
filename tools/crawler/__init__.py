"""The crawler: `src/devp2p_crawler` is the distribution devp2p-crawler, `simulated` the network that it is measured on."""
