"""The consulting side: public pages, receipt, answers by code. No login, no script needed."""
