"""Quests: what happens is counted, and whoever has done enough of it claims bones.

progress     pure: events → tallies → how far a quest is
quest_list   the quests that there are
records      tallies and claims in the database, and what is heard of
endpoints    list, claim, balance
"""
