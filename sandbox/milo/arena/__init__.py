"""The arena: a public strategy trades by itself, from a custody wallet, for everybody to see.

deployments   who has deployed what, and where its money is
custody       funding the wallet, and bringing everything back
accounts      what a wallet gained, lost and was sent, from its transactions on the chain
performance   pure: holdings, flows and sales → the figures of the leaderboard
rounds        when the strategies trade
endpoints     deploy, withdraw, leaderboard
"""
